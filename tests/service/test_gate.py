"""Limits: hosts, sites, rates, bodies, time, requests at work; and that no error says more than it should."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from recbole_longinterest.service.gate import host_of, is_loopback
from recbole_longinterest.service.limits import RateLimit
from recbole_longinterest.service.service import Service
from tests.service.conftest import MakeClient, post
from tests.service.test_app import problem

EVENT = {"user": "u", "item": "i1"}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:80", "127.1.2.3", "[::1]:8000", "[::1]"])
def test_without_keys_it_answers_this_machine(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:8000", "", "::1:80", "[::2]"])
def test_without_keys_it_answers_no_other_name(client: TestClient, host: str) -> None:
    """A page may give its own name this machine's address, and would then be of the same site."""
    said = problem(client.get("/v1/users/u", headers={"Host": host}), 400, "wrong-host")
    assert said == "Without API keys, the service only answers requests to localhost."


def test_without_keys_pages_of_other_sites_get_nothing(client: TestClient) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        said = problem(client.post("/v1/events", json=EVENT, headers=headers), 403, "cross-site")
        assert said == "Without API keys, the service answers no requests from web pages of other sites."
    own = {"Origin": "http://localhost", "Host": "localhost", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/v1/events", json=EVENT, headers=own).status_code == 200
    answer = client.options(
        "/v1/events", headers={"Origin": "http://localhost", "Access-Control-Request-Method": "POST"}
    )
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_bodies_have_to_say_that_they_are_json(client: TestClient, kind: str) -> None:
    answer = client.post("/v1/events", content=json.dumps(EVENT), headers={"Content-Type": kind})
    assert problem(answer, 415, "not-json") == "Send Content-Type: application/json."
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert client.post("/v1/events", content=json.dumps(EVENT), headers=headers).status_code == 200


def test_a_client_sends_a_burst_and_then_so_many_a_second(make_client: MakeClient) -> None:
    with make_client(rate=0.5, burst=3) as client:
        assert [client.get("/healthz").status_code for _ in range(4)] == [200, 200, 200, 429]
        answer = client.get("/healthz")
        assert problem(answer, 429, "too-many-requests") == "A key may send 0.5 requests per second."
        assert answer.headers["retry-after"] in ("1", "2")


def test_a_bucket_fills_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("recbole_longinterest.service.limits.monotonic", lambda: now[0])
    limit = RateLimit(2.0, 2)
    assert [limit.wait("a"), limit.wait("a")] == [0, 0] and limit.wait("a") == pytest.approx(0.5)
    assert limit.wait("b") == 0  # another one's bucket
    now[0] = 0.5
    assert limit.wait("a") == 0 and limit.wait("a") > 0
    now[0] = 1000.0
    assert [limit.wait("a"), limit.wait("a")] == [0, 0] and limit.wait("a") > 0
    assert RateLimit(0, 1).wait("a") == RateLimit(0, 1).wait("a") == 0


def test_bodies_and_batches_have_a_size(make_client: MakeClient) -> None:
    with make_client(max_body=2000, max_events=3) as client:
        long = json.dumps({**EVENT, "behavior": "x" * 3000})
        headers = {"Content-Type": "application/json"}
        answer = client.post("/v1/events", content=long, headers=headers)
        assert problem(answer, 413, "too-large") == "A body may have at most 2,000 bytes."

        def parts() -> Iterator[bytes]:
            yield from (long[begin : begin + 100].encode() for begin in range(0, len(long), 100))

        assert problem(client.post("/v1/events", content=parts(), headers=headers), 413, "too-large")
        assert post(client, [EVENT] * 3)["accepted"] == 3
        said = problem(client.post("/v1/events", json={"events": [EVENT] * 4}), 422, "invalid")
        assert said == "A request may have up to 3 events; got 4."
        asked = {"events": [{"item": "i1"}] * 4}
        assert problem(client.post("/v1/recommendations", json=asked), 422, "invalid") == said
        assert problem(client.get("/v1/users/u/recommendations?k=1001"), 422, "invalid")


def test_a_request_has_a_time(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(self: Service, user: str) -> int:
        await asyncio.sleep(30)
        return 0

    monkeypatch.setattr(Service, "erase", slow)
    with make_client(timeout=0.2) as client:
        said = problem(client.delete("/v1/users/u"), 504, "timed-out")
        assert said == "The request took longer than 0.2 seconds."


def test_requests_that_are_worked_at_have_a_number(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    async def slow(self: Service, user: str) -> int:
        begun.set()
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        return 0

    monkeypatch.setattr(Service, "erase", slow)
    with make_client(max_requests=1) as client:
        first = threading.Thread(target=client.delete, args=["/v1/users/u"])
        first.start()
        assert begun.wait(10)
        answer = client.get("/healthz")
        assert problem(answer, 503, "busy") == "The service is busy with 1 requests. Try again later."
        assert answer.headers["retry-after"] == "1"
        go_on.set()
        first.join()
        assert client.get("/healthz").status_code == 200


def test_an_error_of_the_service_says_nothing_but_where_to_look(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: Service, user: str) -> int:
        raise RuntimeError(f"cannot do this for {user}")

    monkeypatch.setattr(Service, "erase", broken)
    caplog.set_level(logging.INFO)
    with make_client() as client:
        answer = client.delete("/v1/users/secret-user", headers={"X-Request-ID": "abc-1"})
        assert problem(answer, 500, "internal") == "The log has the details of request abc-1."
        assert "secret-user" not in answer.text and answer.headers["x-request-id"] == "abc-1"
        odd = client.get("/healthz", headers={"X-Request-ID": "a b\tc" * 50}).headers["x-request-id"]
        assert "a b" not in odd  # its own: the client's goes into no log
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [RuntimeError]  # type: ignore[index]


def test_all_answers_have_headers_that_make_them_safe_to_show(client: TestClient) -> None:
    for path in ("/healthz", "/docs", "/nothing"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_names_of_hosts() -> None:
    assert [host_of(text) for text in ("a:1", "a", "[::1]:1", "::1", "")] == ["a", "a", "::1", "::1", ""]
    assert is_loopback("127.9.9.9") and is_loopback("::1") and not is_loopback("0.0.0.0") and not is_loopback("")


def test_a_body_has_a_time(monkeypatch: pytest.MonkeyPatch, make_client: MakeClient) -> None:
    """By the application itself: the test's client sends no slow bodies."""
    with make_client(timeout=0.1) as client:
        sent: list[dict[str, Any]] = []

        async def never() -> dict[str, Any]:
            await asyncio.sleep(30)
            return {}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/events",
            "raw_path": b"/v1/events",
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"content-length", b"10")],
        }
        began = time.monotonic()
        client.portal.call(client.app, scope, never, send)  # type: ignore[union-attr]
        assert time.monotonic() - began < 10
    assert sent[0]["status"] == 408 and b"The body took longer than 0.1 seconds." in sent[1]["body"]
    assert (b"connection", b"close") in sent[0]["headers"]
