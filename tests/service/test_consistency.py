"""Whatever comes in whatever order, a user's recommendations are those of the batch forward over the stored events."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recbole_longinterest.nn.options import ModelOptions
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.recommender import Recommender
from tests.served import OPTIONS, WITH_MEMORY
from tests.service.conftest import START, MakeClient, as_json, assert_equals_batch, post, recommended, timed_served


def random_event(rng: np.random.Generator) -> Event:
    """On one of few items, at one of few times, so that ties and duplicates are frequent; some items are unknown."""
    item = f"i{rng.integers(40)}" if rng.random() < 0.9 else f"unknown{rng.integers(3)}"
    kind = [None, "view", "buy"][rng.integers(3)]
    return Event(item, float(rng.integers(1, 6)), kind, START + 1000.0 * float(rng.integers(20)))


def once(events: list[tuple[str, Event]], user: str) -> list[Event]:
    """A user's events in the order of arrival, each once."""
    seen: dict[str, Event] = {}
    for owner, event in events:
        if owner == user:
            seen.setdefault(json.dumps([event.item, event.rating, event.behavior, event.time]), event)
    return list(seen.values())


STEPS = st.lists(st.sampled_from(["post", "post", "read", "again", "restart", "erase"]), min_size=3, max_size=25)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, seed=st.integers(0, 2**32 - 1), states=st.integers(1, 3))
def test_any_history_of_requests_equals_the_batch(
    make_client: MakeClient, model: Recommender, steps: list[str], seed: int, states: int
) -> None:
    rng, sent = np.random.default_rng(seed), list[tuple[str, Event]]()
    last: list[dict[str, Any]] = []
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'e'}"
        made = make_client(url, states=states)
        client = made.__enter__()
        try:
            for step in [*steps, "read"]:
                if step == "post":
                    new = [(f"u{rng.integers(4)}", random_event(rng)) for _ in range(int(rng.integers(1, 12)))]
                    sent += new
                    last = [as_json(user, event) for user, event in new]
                    post(client, last)
                elif step == "again" and last and sent:
                    assert post(client, last)["accepted"] == 0
                elif step == "read":
                    for user in ("u0", "u1", "u2", "u3"):
                        assert_equals_batch(client, model, user, once(sent, user))
                elif step == "restart":
                    made.__exit__(None, None, None)
                    made = make_client(url, states=states)
                    client = made.__enter__()
                elif step == "erase":
                    assert client.delete("/v1/users/u0").json()["events"] == len(once(sent, "u0"))
                    sent = [(user, event) for user, event in sent if user != "u0"]
                    last = []
        finally:
            made.__exit__(None, None, None)


@pytest.mark.parametrize("options", [OPTIONS, WITH_MEMORY])
def test_both_stores_end_in_the_batch(make_client: MakeClient, store_url: str, options: ModelOptions) -> None:
    model = Recommender(timed_served(options=options))
    rng = np.random.default_rng(1)
    sent: list[tuple[str, Event]] = []
    for _ in range(2):  # the second time over a store with states
        with make_client(store_url, model, states=2) as client:
            for _ in range(12):
                new = [(f"u{rng.integers(4)}", random_event(rng)) for _ in range(20)]
                sent += new
                post(client, [as_json(user, event) for user, event in new])
                recommended(client, f"u{rng.integers(4)}")
            for user in ("u0", "u1", "u2", "u3"):
                assert_equals_batch(client, model, user, once(sent, user))


def test_services_that_share_a_store_know_what_each_has_acknowledged(
    make_client: MakeClient, model: Recommender, store_url: str
) -> None:
    """Events and erasures by one count in the next answer of the other, whatever it has in memory."""
    rng = np.random.default_rng(4)
    sent: list[tuple[str, Event]] = []
    with (
        make_client(store_url, shared=True, states=3) as first,
        make_client(store_url, shared=True, states=3) as second,
    ):
        clients = [first, second]
        for _ in range(40):
            one, other = rng.permutation(2)
            new = [(f"u{rng.integers(4)}", random_event(rng)) for _ in range(int(rng.integers(1, 9)))]
            sent += new
            post(clients[one], [as_json(user, event) for user, event in new])
            user = new[0][0]
            assert_equals_batch(clients[other], model, user, once(sent, user))
            assert_equals_batch(clients[one], model, user, once(sent, user))
            if rng.random() < 0.1:
                assert clients[other].delete("/v1/users/u0").json()["events"] == len(once(sent, "u0"))
                sent = [(user, event) for user, event in sent if user != "u0"]
                assert_equals_batch(clients[one], model, "u0", [])


def test_another_model_makes_the_states_again(make_client: MakeClient, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    events = [random_event(rng) for _ in range(60)]
    other = timed_served()
    other.weights = {name: value * 0.7 for name, value in other.weights.items()}
    models = [Recommender(timed_served()), Recommender(other)]
    assert models[0].fingerprint != models[1].fingerprint
    url = f"sqlite:///{tmp_path / 'e'}"
    for number, model in enumerate([models[0], models[1], models[1], models[0]], 1):
        with make_client(url, model) as client:
            post(client, [as_json("u", event) for event in events[: 15 * number]])
            assert_equals_batch(client, model, "u", once([("u", event) for event in events[: 15 * number]], "u"))


def test_ids_of_events_and_keys_of_requests_make_a_retry_safe(make_client: MakeClient) -> None:
    with make_client() as client:
        now = [{"user": "u", "item": "i1"}, {"user": "u", "item": "i1"}]  # twice at once, without a time
        first = client.post("/v1/events", json={"events": now}, headers={"Idempotency-Key": "a"})
        again = client.post("/v1/events", json={"events": now}, headers={"Idempotency-Key": "a"})
        assert first.json() == again.json() == {"accepted": 2, "duplicates": 0, "unknown_items": 0}
        assert "idempotency-replayed" not in first.headers and again.headers["idempotency-replayed"] == "true"
        other = client.post("/v1/events", json=now[0], headers={"Idempotency-Key": "a"})
        assert other.status_code == 422 and other.json()["type"].endswith("idempotency-key-reused")
        named = [{"user": "u", "item": "i2", "id": "e1"}, {"user": "u", "item": "i3", "id": "e1"}]
        assert post(client, named) == {"accepted": 1, "duplicates": 1, "unknown_items": 0}
        assert post(client, [{"user": "v", "item": "i2", "id": "e1"}])["accepted"] == 1
        dates = [
            {"user": "w", "item": "i2", "time": "2017-07-14T02:40:00Z"},
            {"user": "w", "item": "i2", "time": "2017-07-14T04:40:00+02:00"},
            {"user": "w", "item": "i2", "time": START},
        ]
        assert post(client, dates) == {"accepted": 1, "duplicates": 2, "unknown_items": 0}


def test_a_request_may_come_again_for_a_week(make_client: MakeClient) -> None:
    now = [START]
    for later, replayed in ((0.0, False), (6 * 86400.0, True), (8 * 86400.0, False)):
        now[0] = START + later
        with make_client(clock=lambda: now[0]) as client:
            client.get("/readyz")
            for _ in range(50):  # old requests are forgotten at the start, beside the answers
                if "commit_jobs_count 0" not in client.get("/metrics").text:
                    break
            sent = {"user": "u", "item": "i1", "time": START}
            answer = client.post("/v1/events", json=sent, headers={"Idempotency-Key": "a"})
            assert ("idempotency-replayed" in answer.headers) == replayed
            assert answer.json()["accepted"] == (0 if later > 7 * 86400 else 1)  # the event itself is known for ever


@pytest.mark.parametrize("number", [1000])
def test_a_user_with_many_pending_events_is_made_again(
    make_client: MakeClient, model: Recommender, number: int
) -> None:
    rng = np.random.default_rng(3)
    events = [Event(f"i{rng.integers(300)}", 3.0, None, START + place) for place in range(number)]
    with make_client() as client:
        recommended(client, "u")
        for begin in range(0, number, 50):
            post(client, [as_json("u", event) for event in events[begin : begin + 50]])
            if begin == 500:
                assert_equals_batch(client, model, "u", events[: begin + 50])
        assert_equals_batch(client, model, "u", events)
