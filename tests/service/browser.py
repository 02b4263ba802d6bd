"""A service in this process on a port of loopback, and a real Chromium that looks at its page."""

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from recbole_longinterest.service.app import create_app
from recbole_longinterest.service.options import ServiceOptions
from recbole_longinterest.service.protocol import LimitedProtocol
from recbole_longinterest.service.run import Address, listening
from recbole_longinterest.service.service import Service
from recbole_longinterest.service.store.store import open_store
from recbole_longinterest.serving.recommender import Recommender

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WAIT = 60_000  # milliseconds, on a machine that does other work, too


@contextlib.contextmanager
def served_page(model: Recommender, folder: Path, **options: Any) -> Iterator[str]:
    """Serve a model from a thread; gives the address of the page."""
    with open_store(f"sqlite:///{folder / 'page.sqlite'}") as store, listening(Address(port=0)) as listener:
        app = create_app(Service(model, store, ServiceOptions(**options)))
        config = uvicorn.Config(app, http=LimitedProtocol, ws="none", log_config=None, server_header=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield f"http://localhost:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(60)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """The installed browser."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])  # CI runs as root
        yield browser
        browser.close()


class Page:
    """The page in a window of its own.

    Args:
        browser: of :func:`chromium`.
        url: of the service.
        settings: of the browser's context, such as ``color_scheme``.

    Attributes:
        page: playwright's.
        said: what the console and the page's errors said.
        asked: addresses of requests, and their bodies.
    """

    def __init__(self, browser: Any, url: str, **settings: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1440, "height": 1000}, **settings)
        self.context.set_default_timeout(WAIT)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[tuple[str, Any]] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append("a dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append((request.url, request.post_data_json)))
        self.page.goto(url)

    def settled(self) -> None:
        """Wait until all that follows from the history is shown."""
        self.page.wait_for_selector("main[aria-busy=false]")

    def until(self, selector: str, text: str) -> None:
        """Wait until an element has a text; the page's policy forbids ``wait_for_function``."""
        self.page.locator(selector, has_text=text).wait_for()

    def texts(self, selector: str) -> list[str]:
        """Texts of elements."""
        return [str(text) for text in self.page.locator(selector).all_inner_texts()]

    def add(self, place: int = 0) -> None:
        """Click an item that was found."""
        self.page.locator("#found button").nth(place).click()
        self.settled()

    def find(self, words: str) -> None:
        """Search by words of a title."""
        self.page.fill("#query", words)
        self.until("#found-title", "Found")
