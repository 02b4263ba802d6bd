"""Feedback that is sent again is learned once: at once, together, after a failure of the store, after a restart."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import recbole_longinterest.service.schemas as schemas
from recbole_longinterest.service.feedback import Feedback
from recbole_longinterest.service.metrics import Metrics
from recbole_longinterest.service.store.errors import StoreError
from recbole_longinterest.service.store.records import Request, RequestChanged
from recbole_longinterest.service.store.store import open_store
from recbole_longinterest.serving.strategies import Bandit
from tests.service.conftest import START, MakeClient
from tests.service.test_app import problem

GIVEN = {"segment": "few", "shown": {"popular": 10}, "clicked": {"popular": 3}}
KEY = {"Idempotency-Key": "k1"}


def test_a_request_with_a_key_counts_once(make_client: MakeClient) -> None:
    with make_client() as client:
        with ThreadPoolExecutor(4) as threads:
            send = lambda _: client.post("/v1/feedback", json=GIVEN, headers=KEY)  # noqa: E731
            answers = list(threads.map(send, range(8)))
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json()["strategies"]["popular"]["shown"] for answer in answers} == {10}
        assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
        other = client.post("/v1/feedback", json={**GIVEN, "clicked": {}}, headers=KEY)
        assert "was used for another body" in problem(other, 422, "idempotency-key-reused")
        event = client.post("/v1/events", json={"user": "u", "item": "i1", "time": START}, headers=KEY)
        assert event.json()["accepted"] == 1  # a key of another kind of requests
        assert 'outcome="shown",strategy="popular"} 10.0' in client.get("/metrics").text
    with make_client() as client:
        again = client.post("/v1/feedback", json=GIVEN, headers=KEY)
        assert again.headers["Idempotency-Replayed"] == "true" and again.json() == answers[0].json()
        without = client.post("/v1/feedback", json=GIVEN).json()
        assert without["strategies"]["popular"]["shown"] == 20


def test_what_the_store_did_not_take_is_learned_when_it_is_sent_again(store_url: str) -> None:
    given, one = schemas.Feedback(**GIVEN), Request(b"1", b"body")
    fails = [True]

    def submit(job: Any) -> "asyncio.Future[Any]":
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if fails[0]:
            done.set_exception(StoreError("The store cannot be written: full."))
            return done
        result = store.write([job])[0]
        done.set_exception(result) if isinstance(result, Exception) else done.set_result(result)
        return done

    async def lose_and_send_again() -> None:
        with pytest.raises(StoreError, match="full"):
            await taker.take(given, one)
        assert bandit.rates("few") == {}
        fails[0] = False
        for wanted in (False, True, True):
            answer, replayed = await taker.take(given, one)
            assert replayed is wanted and answer.strategies["popular"].shown == 10
        with pytest.raises(RequestChanged, match="was used for another body"):
            await taker.take(given, Request(b"1", b"another"))

    with open_store(store_url) as store:
        bandit = Bandit()
        taker = Feedback(bandit, submit, lambda: START, Metrics())
        asyncio.run(lose_and_send_again())
        assert bandit.rates("few")["popular"][1] == 10
        kept = store.document("bandit")
        assert kept is not None and Bandit.from_json(kept, "the store").rates("few") == bandit.rates("few")


def test_a_request_is_forgotten_with_the_others(tmp_path: Path, make_client: MakeClient) -> None:
    now = [START]
    with make_client(clock=lambda: now[0]) as client:
        client.post("/v1/feedback", json=GIVEN, headers=KEY)
    now[0] += 8 * 86_400  # more than the week for which a request may be sent again
    with make_client(clock=lambda: now[0]) as client:
        client.get("/readyz")
        client.post("/v1/events", json={"user": "u", "item": "i1", "time": START})  # after the tidying
        assert client.post("/v1/feedback", json=GIVEN, headers=KEY).json()["strategies"]["popular"]["shown"] == 20
