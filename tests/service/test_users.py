"""States in memory: what happens while one is made, when one leaves, and when the model or the user does."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from recbole_longinterest.service.store.records import KeptState, StoredEvent
from recbole_longinterest.service.users import WORTH_KEEPING, Users
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.state import InterestState
from tests.service.conftest import START, MakeClient, as_json, assert_equals_batch, features, post, text_served


class MemoryStore:
    """Events by user; reading may wait for the test."""

    shared: bool = False

    def __init__(self) -> None:
        self.events: dict[str, list[StoredEvent]] = {}
        self.states: dict[str, KeptState] = {}
        self.go_on = threading.Event()
        self.go_on.set()
        self.read = threading.Event()

    def add(self, user: str, *times: int) -> list[tuple[str, StoredEvent]]:
        """Store events at times; their items follow from these."""
        mine, new = self.events.setdefault(user, []), []
        for time in times:
            number = sum(map(len, self.events.values())) + 1
            new.append((user, StoredEvent(number, f"i{time}", None, None, START + time, None, None)))
            mine.append(new[-1][1])
        return new

    def events_of(self, user: str, after: int = 0) -> list[StoredEvent]:
        found = [event for event in self.events.get(user, []) if event.id > after]
        self.read.set()
        assert self.go_on.wait(30)
        return found

    def number_of_events(self, user: str, until: int) -> int:
        return sum(event.id <= until for event in self.events.get(user, []))

    def state_of(self, user: str) -> KeptState | None:
        return self.states.get(user)

    def keep(self, states: list[KeptState]) -> None:
        self.states.update({state.user: state for state in states})


Work = Callable[[Users, MemoryStore, list[str]], Coroutine[Any, Any, None]]


def run(model: Recommender, work: Work, capacity: int = 10, store: MemoryStore | None = None) -> list[str]:
    """Do something with states; returns where they came from."""
    sources: list[str] = []
    kept = store or MemoryStore()

    async def inside() -> None:
        with ThreadPoolExecutor(2) as threads:
            users = Users(model, kept, threads, capacity, kept.keep, sources.append)  # type: ignore[arg-type]
            await work(users, kept, sources)

    asyncio.run(inside())
    return sources


def assert_state(model: Recommender, state: InterestState, store: MemoryStore, user: str) -> None:
    """A state is that of the batch forward over the store's events."""
    history = model.read([event.event() for event in store.events.get(user, [])])
    assert state.events == len(history) and state.scorer is model
    if len(history):
        np.testing.assert_allclose(state.interest.numpy(), model.interest([history]).numpy(), atol=1e-5)


def test_events_that_arrive_while_a_state_is_made_count_once(model: Recommender) -> None:
    async def work(users: Users, store: MemoryStore, sources: list[str]) -> None:
        store.add("u", 1, 2)
        store.go_on.clear()
        asked = [asyncio.ensure_future(users.state("u")) for _ in range(3)]
        await asyncio.to_thread(store.read.wait)  # it has read two
        users.committed(store.add("u", 3))
        unread = store.events["u"][-1]
        users.committed([("u", store.events["u"][1])])  # read and committed: not twice
        store.go_on.set()
        for state in await asyncio.gather(*asked):
            assert_state(model, state, store, "u")
        assert unread.id == 3 and len(users) == 1
        users.committed(store.add("u", 2))  # out of order
        assert_state(model, await users.state("u"), store, "u")

    assert run(model, work) == ["made", "hit", "hit", "hit", "made", "hit"]


def test_a_user_who_is_erased_while_a_state_is_made_has_none(model: Recommender) -> None:
    async def work(users: Users, store: MemoryStore, sources: list[str]) -> None:
        store.add("u", *range(20))
        store.go_on.clear()
        first = asyncio.ensure_future(users.state("u"))
        await asyncio.to_thread(store.read.wait)
        erased = asyncio.get_running_loop().create_future()
        users.erase("u", erased)
        second = asyncio.ensure_future(users.state("u"))
        store.go_on.set()
        await asyncio.sleep(0.2)
        assert not first.done() and not second.done() and len(users) == 0
        del store.events["u"]
        erased.set_result(20)
        assert (await first).events == (await second).events == 0
        assert users.leave() == [] and store.states == {}

    run(model, work)


def test_the_least_recently_used_state_leaves_and_is_kept(model: Recommender) -> None:
    async def work(users: Users, store: MemoryStore, sources: list[str]) -> None:
        for user in "abc":
            store.add(user, *range(WORTH_KEEPING))
        store.add("short", 1)
        await users.state("a")
        await users.state("b")
        await users.state("a")
        await users.state("short")
        assert len(users) == 2 and list(store.states) == ["b"]
        await users.state("c")
        assert sorted(store.states) == ["a", "b"]  # not "short", which is made again as fast
        store.add("a", 50, 10)
        sources.clear()
        assert_state(model, await users.state("a"), store, "a")
        assert_state(model, await users.state("b"), store, "b")
        assert sources[::2] == ["made", "kept"]  # one of the events after a's is out of order

    run(model, work, capacity=2)


def test_a_kept_state_goes_on_with_what_came_since(model: Recommender) -> None:
    store = MemoryStore()

    async def first(users: Users, store: MemoryStore, sources: list[str]) -> None:
        store.add("u", *range(20))
        state = await users.state("u")
        users.committed(store.add("u", 30))
        assert state.events == 20  # nobody has asked yet
        store.keep(users.leave())
        assert (store.states["u"].last_id, store.states["u"].stored) == (20, 20) and users.leave() == []

    async def then(users: Users, store: MemoryStore, sources: list[str]) -> None:
        assert_state(model, await users.state("u"), store, "u")
        assert sources[0] == "kept"
        users.committed(store.add("u", 31))
        assert_state(model, await users.state("u"), store, "u")

    run(model, first, store=store)
    run(model, then, store=store)
    late = store.events["u"].pop(3)  # an event of before that the state does not know of, or knows too much of
    assert run(model, lambda users, *_: ask(users, model, store), store=store)[0] == "made"
    store.events["u"].insert(0, late)
    store.states["u"] = KeptState("u", model.fingerprint, 20, 20, 0, b"broken")
    assert run(model, lambda users, *_: ask(users, model, store), store=store)[0] == "made"


def test_a_shared_store_is_asked_at_every_use(model: Recommender) -> None:
    store = MemoryStore()
    store.shared = True

    async def work(users: Users, store: MemoryStore, sources: list[str]) -> None:
        store.add("u", 1, 2)
        await users.state("u")
        own = store.add("u", 4)
        other = store.add("u", 3)
        users.committed(own)  # the other's came from another process, and nobody tells of it
        states = await asyncio.gather(*(users.state("u") for _ in range(3)))
        for state in states:
            assert_state(model, state, store, "u")
        assert other[0][1].id == users.last_events()["u"]
        del store.events["u"]  # erased by another process
        assert_state(model, await users.state("u"), store, "u")
        store.add("u", 7)
        assert_state(model, await users.state("u"), store, "u")
        store.go_on.clear()
        store.read.clear()
        asked = asyncio.ensure_future(users.state("u"))
        await asyncio.to_thread(store.read.wait)
        users.forget("u")  # while the store is asked
        store.add("u", 8)
        store.go_on.set()
        assert_state(model, await asked, store, "u")

    run(model, work, store=store)


async def ask(users: Users, model: Recommender, store: MemoryStore) -> None:
    assert_state(model, await users.state("u"), store, "u")


def test_states_follow_a_model_that_has_more_items(model: Recommender) -> None:
    other = Recommender(model.served)

    async def work(users: Users, store: MemoryStore, sources: list[str]) -> None:
        store.add("known", 1, 2)
        store.add("unknown", 1, 999)
        await users.state("known")
        await users.state("unknown")
        users.follow(other, carry=True)
        sources.clear()
        assert_state(other, await users.state("known"), store, "known")
        assert_state(other, await users.state("unknown"), store, "unknown")
        assert sources == ["hit", "made", "hit"]
        users.follow(model, carry=False)
        sources.clear()
        assert_state(model, await users.state("known"), store, "known")
        assert sources == ["made", "hit"]
        store.add("late", 5)
        store.go_on.clear()
        store.read.clear()
        asked = asyncio.ensure_future(users.state("late"))
        await asyncio.to_thread(store.read.wait)
        users.follow(other, carry=True)  # while it is made for the model of before
        store.go_on.set()
        assert_state(other, await asked, store, "late")

    run(model, work)


def test_features_of_users_come_with_each_event(make_client: MakeClient) -> None:
    """So a state that was made again goes on as one that never left memory, and as the batch."""
    model = Recommender(text_served(more=features("device", "tags", "size", "gender")))
    rng = np.random.default_rng(0)
    events = []
    for number in range(40):
        values: dict[str, Any] = {"device": "0", "tags": ["1", "a"], "size": 3, "user_gender": "1", "unread": True}
        chosen = {name: values[name] for name in values if rng.random() < 0.5}
        events.append(Event(f"i{rng.integers(40)}", 3.0, None, START + number, chosen))
    for begin in range(0, 40, 10):
        with make_client(served=model) as client:
            assert_equals_batch(client, model, "u", events[:begin])
            for event in events[begin : begin + 10]:
                post(client, [as_json("u", event, features=event.features)])
            assert_equals_batch(client, model, "u", events[: begin + 10])


def test_events_that_another_model_took_in_may_be_unreadable(make_client: MakeClient) -> None:
    served = text_served()
    served.about["times"] = {"first": START * 1000, "median": START * 1000 + 1, "last": START * 1000 + 2}
    with make_client() as client:
        post(client, [{"user": "u", "item": "i1", "time": START}, {"user": "v", "item": "i1", "time": "2017-07-14"}])
    with make_client(served=Recommender(served)) as client:
        for path in ("", "/recommendations", "/explanations/i2"):
            answer = client.get(f"/v1/users/u{path}")
            assert answer.status_code == 409 and answer.json()["type"].endswith("unreadable-history")
            assert "may be seconds" in answer.json()["detail"]
            assert client.get(f"/v1/users/v{path}").status_code == 200  # a date holds for any unit


@pytest.mark.parametrize("number", [1, 3])
def test_ties_keep_the_order_of_arrival(make_client: MakeClient, model: Recommender, number: int) -> None:
    events = [Event(f"i{place}", float(place % 5 + 1), None, START) for place in range(30)]
    with make_client() as client:
        for begin in range(0, 30, number):
            post(client, [as_json("u", event) for event in events[begin : begin + number]])
            if begin % 9 == 0:
                assert_equals_batch(client, model, "u", events[: begin + number])
        assert_equals_batch(client, model, "u", events)
