"""The client in docs/service.md runs as it stands, and its tables say what the service has."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from recbole_longinterest.service.options import ServiceOptions
from tests.conftest import PROJECT
from tests.service.conftest import START, MakeClient


@pytest.fixture
def text() -> str:
    file = PROJECT / "docs" / "service.md"
    if not file.is_file():
        pytest.skip("not a checkout")
    return file.read_text(encoding="utf-8")


def test_the_client_runs(text: str, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.findall(r"(?:^    .*\n|^\n)+", text.partition("## A client")[2].partition("## Events")[0], re.MULTILINE)
    names: dict[str, Any] = {}

    def sent(request: httpx.Request) -> httpx.Response:
        """By the service of this process in place of a network."""
        path = request.url.raw_path.decode()
        given = {name: value for name, value in request.headers.items() if name != "host"}
        answer = client.request(request.method, path, content=request.content, headers=given)
        return httpx.Response(answer.status_code, content=answer.content)

    made = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **kwargs: made(**kwargs, transport=httpx.MockTransport(sent)))
    source = "\n".join(line[4:] for line in "".join(code).splitlines())
    begin, end = source.split("shop = LongInterest()")
    exec(begin + "shop = LongInterest()", names)
    shop = names["shop"]
    assert shop.add([{"user": "a/b", "item": "i1", "time": START}], "r1") == shop.add(
        [{"user": "a/b", "item": "i1", "time": START}], "r1"
    )
    assert len(shop.recommend("a/b", 3, exclude_seen="none")["items"]) == 3
    assert len(shop.recommend_to([{"item": "i1"}], k=2)["items"]) == 2
    assert shop.why("a/b", "i2")["events"][0]["item"] == "i1"
    assert shop.forget("a/b") == {"events": 1}
    with pytest.raises(RuntimeError, match="The model has no item 'none'"):
        shop.why("a/b", "none")
    exec("shop = LongInterest()" + end.replace('"50"', '"i50"').replace("2026", "2017"), names)
    assert client.get("/v1/users/ann").json()["last"][0]["behavior"] == "buy"


def test_the_tables_say_what_there_is(text: str, make_client: MakeClient, tmp_path: Path) -> None:
    with make_client() as client:
        document = client.get("/openapi.json").json()
    for path in document["paths"]:
        assert path in text or path.removeprefix("/v1") in text, path
    defaults = ServiceOptions()
    row = next(line for line in text.splitlines() if line.startswith("| `--rate`"))
    assert f"| {defaults.rate:g}, {defaults.burst} |" in row
    assert f"| 1 MiB, {defaults.max_events} |" in text and defaults.max_body == 2**20
    assert f"| `--states` | {defaults.states:,} |" in text and f"| `--timeout` | {defaults.timeout:g} |" in text
