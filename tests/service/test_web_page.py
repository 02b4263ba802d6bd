"""The page for people, in a real Chromium: what it shows is what the service says, and nothing that it says is run."""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest

from recbole_longinterest.service.keys import add_key
from recbole_longinterest.service.web_page import FILES
from recbole_longinterest.serving.recommender import Recommender
from tests.served import KINDS
from tests.service.browser import Page, chromium, served_page
from tests.service.conftest import START, MakeClient, timed_served

TRAP = "<img src=x onerror=window.hacked=1>"
SCRIPT = "\"'></script><script>window.hacked=1</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def url(model: Recommender, tmp_path: Path) -> Iterator[str]:
    with served_page(model, tmp_path) as found:
        yield found


def file(name: str) -> str:
    return (files("recbole_longinterest.service") / "web" / name).read_text(encoding="utf-8")


def test_the_files_load_nothing_from_elsewhere(make_client: MakeClient) -> None:
    with make_client() as client:
        for path, (_, kind) in FILES.items():
            answer = client.get(path)
            assert answer.status_code == 200 and answer.headers["content-type"].startswith(kind)
            (policy,) = answer.headers.get_list("content-security-policy")
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
            assert "unsafe" not in policy and answer.headers["x-content-type-options"] == "nosniff"
            assert re.findall(r"https?://[^\"]*", answer.text.replace("http://www.w3.org/2000/svg", "")) == []
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|style=|\bon\w+=", answer.text
            )
        assert "unsafe-inline" in client.get("/docs").headers["content-security-policy"]  # as before
    assert sum(len(file(name)) for name, _ in FILES.values()) < 40_000


def test_all_texts_can_be_read_on_their_ground() -> None:
    """Contrasts of WCAG 2 AA: 4.5 for texts, in both schemes."""
    colours = dict(re.findall(r"--([\w-]+): (light-dark\(.*?\));", file("page.css")))
    for scheme in (0, 1):
        light = {name: luminance(re.findall("#[0-9a-f]{6}", pair)[scheme]) for name, pair in colours.items()}
        for name in ("text", "muted", "accent", "against", *(f"series-{n}" for n in range(5))):
            for ground in ("surface",) if name.startswith("series") else ("ground", "surface", "raised"):
                low, high = sorted((light[name], light[ground]))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ground, scheme)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.slow
def test_a_history_by_clicks_changes_all_that_is_shown(browser: Any, url: str) -> None:
    seen = Page(browser, url)
    seen.settled()
    assert "Before the first event" in seen.texts("#basis")[0]
    seen.find("title 7")
    seen.add()
    seen.page.select_option("#history select[aria-label^=Rating]", label="5")
    seen.page.select_option("#history select[aria-label^=Behaviour]", label="buy")
    seen.settled()
    first = seen.texts("#items > li .line .title")
    seen.add(1)
    assert seen.texts("#history .title")[1] == "Title <7>"  # the newest one stands first
    body = next(body for address, body in reversed(seen.asked) if body and body.get("k") == 10)
    assert body["events"][0]["rating"] == 5 and body["events"][0]["behavior"] == "buy" and len(body["events"]) == 2
    said = httpx.post(f"{url}v1/recommendations", json=body).json()["items"]
    assert seen.texts("#items > li .line .title") == [item["title"] for item in said] != first
    assert seen.page.locator("#items .moved").count() > 0
    # Why: what the service says of the first item.
    seen.page.locator("#items summary").first.click()
    why = httpx.post(f"{url}v1/explanations", json={"events": body["events"], "items": [said[0]["item"]]}).json()
    shares = [each["share"] for each in why["explanations"][0]["events"]]
    shown = [
        float(text.replace("\N{MINUS SIGN}", "-").rstrip("\xa0%"))
        for text in seen.texts("#items > li:first-child .share")
    ]
    assert sorted(shown[:2]) == pytest.approx(sorted(100 * share for share in shares), abs=0.51)
    # Interest over time, as a picture and as a table; strategies side by side.
    assert "after each of 2 events" in str(seen.page.locator("#chart svg").get_attribute("aria-label"))
    seen.page.locator("#interest-table summary").click()
    assert len(seen.texts("#values tr")) == 3
    names = seen.texts("#strategies h3")
    assert {"interest", "similar", "popular"} <= set(names)
    assert seen.texts("#strategies > div:first-child .title") == [item["title"] for item in said[:7]]
    assert not seen.said, seen.said
    assert all(address.startswith((url, "data:")) for address, _ in seen.asked)
    seen.page.locator("#clear").click()
    seen.settled()
    assert "Before the first event" in seen.texts("#basis")[0] and not seen.texts("#history li")


@pytest.mark.slow
def test_by_keyboard_alone(browser: Any, url: str) -> None:
    seen = Page(browser, url)
    seen.settled()
    press = seen.page.keyboard.press
    press("/")
    seen.page.keyboard.type("title 12")
    seen.until("#found-title", "Found")
    for key in ("ArrowDown", "ArrowDown", "ArrowUp", "Enter"):
        press(key)
    seen.settled()
    assert seen.texts("#history .title") == ["Title <12>"]
    press("Escape")
    assert seen.page.evaluate("document.activeElement.id") == "query"
    seen.page.locator("#history .icon").focus()
    press("Enter")
    seen.settled()
    assert not seen.texts("#history li") and seen.page.evaluate("document.activeElement.id") == "query"
    seen.page.locator("#items button").nth(2).focus()
    press("Enter")
    seen.settled()
    assert len(seen.texts("#history li")) == 1 and seen.page.evaluate("document.activeElement.className") == "icon"
    assert seen.page.evaluate("document.activeElement.matches('#items button')")  # the focus is not lost


@pytest.mark.slow
def test_a_hostile_catalogue_is_shown_as_text(browser: Any, tmp_path: Path) -> None:
    served = timed_served(20)
    served.items.titles = [f"{TRAP} {SCRIPT} {number}" for number in range(21)]
    served.items.tokens = ["[PAD]", *(f"{SCRIPT}/{number}?#%2f" for number in range(20))]
    served.items.categories = [[TRAP, SCRIPT]] * 21
    served.about["behaviors"] = {"names": list(KINDS), "targets": [], "map": {}}
    with served_page(Recommender(served), tmp_path) as url:
        token = served.items.tokens[3]
        user = f"{TRAP}/u"
        event = {"user": user, "item": token, "time": START, "rating": 3}
        assert httpx.post(f"{url}v1/events", json=event).status_code == 200
        seen = Page(browser, url)
        seen.settled()
        seen.page.locator(".stored summary").click()
        seen.page.fill("#user", user)
        seen.page.click("#stored button")
        seen.until("#stored-said", "The last 1 of 1 events")
        seen.settled()
        seen.add()
        seen.page.locator("#items summary").first.click()
        seen.page.locator("#items details button").first.click()
        seen.until("#found-title", "Like")
        assert seen.texts("#history .title")[1] == served.items.titles[3]
        assert f"of {user}." in seen.texts("#stored-said")[0]
        assert TRAP in seen.texts("#items .line .muted")[0] and TRAP in str(
            seen.page.locator("#chart title").first.text_content()
        )
        assert seen.page.evaluate("window.hacked") is None and seen.page.locator("img, main script").count() == 0
        assert not seen.said, seen.said
        # Even a script of the page's own could not write HTML.
        refused = "try { document.body.innerHTML = 'x' } catch (error) { error.name }"
        assert seen.page.evaluate(refused) == "TypeError"


@pytest.mark.slow
def test_a_key_is_asked_for_and_kept_in_memory_alone(browser: Any, model: Recommender, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    reads, writes = add_key(keys, "reader", ["read"]), add_key(keys, "writer", ["write"])
    with served_page(model, tmp_path, keys=keys) as url:
        seen = Page(browser, url)
        for key, said in (("nonsense", "not known"), (writes, "role read")):
            seen.page.wait_for_selector("#key-dialog[open]")
            seen.page.fill("#key", key)
            seen.page.keyboard.press("Enter")
            seen.until("#key-said", said)
        seen.page.fill("#key", reads)
        seen.page.keyboard.press("Enter")
        seen.settled()
        assert len(seen.texts("#items > li")) == 10 and seen.page.input_value("#key") == ""
        kept = "[document.cookie, JSON.stringify({ ...localStorage, ...sessionStorage }), document.body.outerHTML]"
        assert not any(reads in text for text in seen.page.evaluate(kept))
        assert not any(reads in address for address, _ in seen.asked)


@pytest.mark.slow
def test_every_control_has_a_name_and_nothing_is_wider_than_the_window(browser: Any, url: str) -> None:
    seen = Page(browser, url, color_scheme="dark")
    seen.settled()
    seen.add()
    session = seen.context.new_cdp_session(seen.page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    roles = ("button", "textbox", "searchbox", "combobox", "checkbox", "radio", "link", "image", "region")
    found = [node for node in nodes if not node["ignored"] and node["role"]["value"] in roles]
    assert len(found) > 50 and [node for node in found if not node.get("name", {}).get("value")] == []
    for width in (320, 360, 800, 1440):
        seen.page.set_viewport_size({"width": width, "height": 800})
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    ground = "getComputedStyle(document.body).backgroundColor"
    assert seen.page.evaluate(ground) == "rgb(19, 20, 22)"  # as the system asks
    seen.page.locator(".themes label", has_text="Light").click()
    assert seen.page.evaluate(ground) == "rgb(246, 246, 243)"
