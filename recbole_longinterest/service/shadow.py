"""Shadow mode: a second model also scores live requests, in a separate process that never delays an answer.

The process has the lowest priority and a short queue; requests that do not fit are skipped and counted. It logs both
answers. Failures of the shadow never affect an answer.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import queue
import threading
import time
from collections.abc import Callable
from logging import ERROR
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.service.logs import log
from recbole_longinterest.service.options import ServiceOptions
from recbole_longinterest.service.shadow_process import Asked, ShadowSetup, score_requests
from recbole_longinterest.service.versions import Versions

WAITING = 64  # queue length; further requests are skipped
SECONDS = 600.0  # time limit for loading the model
END = 10.0  # time limit in seconds for the process to end


class Shadow:
    """The optional shadow of a service.

    Args:
        store: URL of the store.
        options: options of the service.
        counted: called in a thread for each request with ``compared``, ``left_out`` or ``failed``, and the share of the
            answer's items that the shadow also recommends.

    Attributes:
        version: the version that scores requests; None without a shadow.
    """

    def __init__(self, store: str, options: ServiceOptions, counted: Callable[[str, float | None], None]) -> None:
        self._store, self._options, self._counted = store, options, counted
        self.version: str | None = None
        self._process: Any = None
        self._asked: Any = None
        self._sender: threading.Thread | None = None
        self._stopped = False

    async def begin(self, versions: Versions, version: str) -> None:
        """Start a shadow with a version, and stop the previous one.

        Raises:
            LongInterestError: for a version that cannot be served; the previous shadow has stopped by then.
        """
        await self.end()
        versions.place(version)
        level = logging.getLogger().level
        setup = ShadowSetup(versions, version, self._store, self._options, level)
        await asyncio.get_running_loop().run_in_executor(None, self._begin, setup)

    def _begin(self, setup: ShadowSetup) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
        ours, its = context.Pipe()
        process = context.Process(target=score_requests, args=(setup, its), daemon=True, name="shadow")
        process.start()
        its.close()
        try:
            until = time.monotonic() + SECONDS
            while not ours.poll(0.2) and time.monotonic() < until and not self._stopped:
                pass
            problem = ours.recv() if ours.poll() else "It was not ready in time."
        except (EOFError, OSError):
            problem = "Its process has ended."
        if problem is not None:
            _end(process, ours)
            raise LongInterestError(str(problem))
        asked: queue.Queue[Asked | None] = queue.Queue(WAITING)
        self._process, self._asked, self.version = process, asked, setup.version
        self._sender = threading.Thread(target=self._send, args=(process, ours, asked), name="shadow", daemon=True)
        self._sender.start()
        log("shadow", version=setup.version, state="ready")

    def _send(self, process: Any, pipe: Any, asked: "queue.Queue[Asked | None]") -> None:  # noqa: ANN401 - of spawn
        try:
            while (one := asked.get()) is not None:
                pipe.send(one)
                outcome, overlap = pipe.recv()
                self._counted(outcome, overlap)
        except (EOFError, OSError):
            log("shadow", ERROR, version=self.version, state="ended", detail="Its process has ended by itself.")
            if self._asked is asked:
                self.version = self._asked = None
        finally:
            _end(process, pipe)

    def offer(self, one: Asked) -> None:
        """Queue a request for the shadow if there is room; returns at once."""
        if self._asked is None:
            return
        try:
            self._asked.put_nowait(one)
        except queue.Full:
            self._counted("left_out", None)

    async def end(self) -> None:
        """Stop the shadow."""
        asked, sender, process = self._asked, self._sender, self._process
        self.version = self._asked = self._sender = self._process = None
        if asked is None or sender is None:
            return
        with contextlib.suppress(queue.Empty):
            while True:
                asked.get_nowait()
        asked.put_nowait(None)
        await asyncio.get_running_loop().run_in_executor(None, sender.join, END)
        if process.is_alive():
            process.kill()

    async def stop(self) -> None:
        """Stop the shadow at the end of the service."""
        self._stopped = True
        await self.end()

    @property
    def active(self) -> bool:
        """Whether a shadow runs, so that requests should be offered."""
        return self._asked is not None


def _end(process: Any, pipe: Any) -> None:  # noqa: ANN401 - of spawn
    pipe.close()  # signals the process to end
    process.join(END)
    if process.is_alive():
        process.kill()
        process.join(END)
