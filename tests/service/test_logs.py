"""The log: a JSON object a line, without ids of users unless the operator asks for them."""

import io
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from recbole_longinterest.service.logs import log, set_up_logs
from recbole_longinterest.service.service import Service
from tests.service.conftest import MakeClient, as_json, post
from tests.service.test_app import events_of


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    for handler in logging.getLogger().handlers:
        handler.flush()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def use(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Ask for everything that has a user in it, the failing requests too."""
    with make_client(states=1, **options) as client:
        post(client, [as_json("anna-17", event) for event in events_of(20)])
        client.post("/v1/events", json={"user": "anna-17", "item": "i1", "behavior": "anna-17 dances"})
        client.post("/v1/events", json={"user": "anna-17"}, headers={"Idempotency-Key": "anna-17"})
        for path in ("", "/recommendations", "/explanations/i2", "/explanations/anna-17", "/nothing"):
            client.get(f"/v1/users/anna-17{path}", headers={"User-Agent": "anna-17", "X-Request-ID": "r"})
        client.get("/v1/users/someone/recommendations")
        client.delete("/v1/users/anna-17")
        client.get("/anna-17?anna-17")

        async def broken(self: Service, user: str) -> int:
            raise RuntimeError(f"cannot do this for {user}")

        monkeypatch.setattr(Service, "erase", broken)
        client.delete("/v1/users/anna-17")


def test_no_id_of_a_user_stands_in_the_log(
    make_client: MakeClient, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_logs("debug", stream=stream)
    for name in ("httpx", "httpx2", "asyncio"):  # the test's own client
        logging.getLogger(name).setLevel(logging.WARNING)
    use(make_client, monkeypatch)
    asked = [line for line in lines(stream) if line["event"] == "request"]
    assert "anna-17" not in stream.getvalue()
    assert {line["route"] for line in asked} >= {"/v1/users/{user}/recommendations", "/v1/users/{user}", "other"}
    assert {line["status"] for line in asked} == {200, 404, 422, 500} and asked[0]["client"] == "local"
    (error,) = [line for line in lines(stream) if line["event"] == "error"]
    assert error["error"] == "RuntimeError" and "said" not in error and "broken" in error["at"][-1]


def test_ids_stand_there_if_they_are_asked_for(
    make_client: MakeClient, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_logs("info", users=True, stream=stream)
    use(make_client, monkeypatch, log_users=True)
    users = [line.get("user") for line in lines(stream) if line["event"] == "request"]
    assert users.count("anna-17") == 6 and users.count("someone") == 1
    (error,) = [line for line in lines(stream) if line["event"] == "error"]
    assert error["said"] == "cannot do this for anna-17"


def test_messages_of_others_are_lines_of_json_too(stream: io.StringIO) -> None:
    set_up_logs("info", stream=stream)
    logging.getLogger("x").warning("a\nb \x1b[31m")
    logging.getLogger("uvicorn.access").info("left out")
    log("fine", logging.DEBUG)
    log("fine", number=3, path=object)
    first, second = lines(stream)
    assert first["message"] == "a\nb \x1b[31m" and first["level"] == "warning" and "\x1b" not in stream.getvalue()
    assert second["event"] == "fine" and second["number"] == 3


class Counted(io.StringIO):
    """Counts how often it is written to."""

    times = 0

    def write(self, text: str) -> int:
        self.times += 1
        return super().write(text)


def test_many_requests_share_a_writing_and_keep_the_order(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted()
    set_up_logs("info", stream=counted)
    monkeypatch.setattr("recbole_longinterest.service.logs.WAIT", 60.0)
    for number in range(100):
        log("request", number=number)
    assert counted.times == 1  # the first, which finds nothing before it
    log("stopped", number=100)
    assert [line["number"] for line in lines(counted)] == list(range(101)) and counted.times == 2


def test_a_line_of_a_request_does_not_wait_for_the_next(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recbole_longinterest.service.logs.WAIT", 0.01)
    set_up_logs("info", stream=stream)
    log("request", number=1)
    log("request", number=2)
    while stream.getvalue().count("\n") < 2:
        time.sleep(0.01)
    assert logging.getLogger().handlers[0]._timer is None  # type: ignore[attr-defined]


def test_a_level(stream: io.StringIO) -> None:
    set_up_logs("error", stream=stream)
    log("left out", logging.WARNING)
    log("said", logging.ERROR)
    assert [line["event"] for line in lines(stream)] == ["said"]
