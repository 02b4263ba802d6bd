"""The store, in SQLite and in PostgreSQL: events once, requests once, states, erasure."""

import os
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from recbole_longinterest.service.store.records import (
    Append,
    Appended,
    Erase,
    ForgetRequests,
    ItemBatch,
    KeepDocument,
    KeptState,
    NewEvent,
    Request,
    RequestChanged,
    SaveStates,
    SetAvailable,
)
from recbole_longinterest.service.store.store import Store, open_store


def event(user: str = "u", item: str = "i1", digest: bytes | None = None, **more: Any) -> NewEvent:
    values = {"rating": None, "behavior": None, "time": 5.0, "date": None, "features": None, "received": 0.0, **more}
    return NewEvent(user, item, digest=digest or os.urandom(16), **values)


def write(store: Store, *jobs: Any) -> list[Any]:
    return store.write(jobs)


def items(store: Store, user: str = "u") -> list[str]:
    return [each.item for each in store.events_of(user)]


def numbers(results: Sequence[Appended]) -> list[tuple[int, int, bool]]:
    return [(each.accepted, each.duplicates, each.replayed) for each in results]


def test_events_come_back_as_they_were_given_in_the_order_of_arrival(store_url: str) -> None:
    given = [
        event(item="ü'\"%s", rating=0.1, behavior="buy", time=1.5e9 + 0.1, date="2017-07-14", features='{"a": 1}'),
        event(item="i2", time=-1e18),
        *(event(item=f"i{number}") for number in range(3, 1200)),  # more than a statement takes at once
    ]
    with open_store(store_url) as store:
        (done,) = write(store, Append(given))
        assert [each.item for _, each in done.stored] == [each.item for each in given]
    with open_store(store_url) as store:
        found = store.events_of("u")
        assert [each.id for each in found] == sorted(each.id for each in found)
        for stored, new in zip(found, given, strict=True):
            assert all(getattr(stored, name) == getattr(new, name) for name in stored.__slots__[1:])
        assert found[0].event().features == {"a": 1} and found[0].event().time == "2017-07-14"
        assert found[1].event().time == -1e18
        middle = found[600].id
        assert [each.item for each in store.events_of("u", middle)] == [each.item for each in given[601:]]
        assert store.number_of_events("u", middle) == 601
        assert store.events_of("nobody") == [] and store.number_of_events("nobody", 10) == 0


def test_an_event_is_stored_once_within_a_request_a_commit_and_ever(store_url: str) -> None:
    one, two, three = event(item="i1"), event(item="i2"), event(item="i3")
    with open_store(store_url) as store:
        assert numbers(write(store, Append([one, one, two]), Append([two, three]))) == [(2, 1, False), (1, 1, False)]
        assert numbers(write(store, Append([three, one]))) == [(0, 2, False)]
        assert items(store) == ["i1", "i2", "i3"]


def test_a_request_is_answered_once(store_url: str) -> None:
    first, changed = Request(b"k" * 32, b"b" * 32), Request(b"k" * 32, b"c" * 32)
    with open_store(store_url) as store:
        done = write(store, Append([event()], 1, first), Append([event()], 1, first), Append([event()], 1, changed))
        assert numbers(done[:2]) == [(1, 0, False), (1, 0, True)] and done[1].unknown == 1
        assert isinstance(done[2], RequestChanged)
        assert "Use a new key for each request" in str(done[2])
    with open_store(store_url) as store:
        again, other = write(store, Append([event()], 1, first), Append([event()], 1, changed))
        assert numbers([again]) == [(1, 0, True)] and isinstance(other, RequestChanged)
        assert len(items(store)) == 1
        assert write(store, ForgetRequests(1e12)) == [None]
        assert numbers(write(store, Append([event()], 0, first))) == [(1, 0, False)]


def test_states_replace_one_another(store_url: str) -> None:
    with open_store(store_url) as store:
        write(store, Append([event("v"), event("u"), event("u")]))
        write(store, SaveStates([KeptState("u", "f", 2, 1, 1, b"\0a"), KeptState("v", "f", 1, 1, 0, b"b")]))
        write(store, SaveStates([KeptState("u", "g", 3, 2, 0, b"\xff")]))
        assert store.state_of("u") == KeptState("u", "g", 3, 2, 0, b"\xff")
        assert store.state_of("v") == KeptState("v", "f", 1, 1, 0, b"b") and store.state_of("w") is None


def test_no_state_is_kept_of_a_user_who_was_erased_by_another_process(store_url: str) -> None:
    with open_store(store_url) as store:
        write(store, Append([event("u"), event("v")]))
        late = SaveStates([KeptState("u", "f", 1, 1, 0, b"a"), KeptState("v", "f", 2, 1, 0, b"b")])
        write(store, Erase("u"), Append([event("u")]), late)
        assert store.state_of("u") is None and store.state_of("v") is not None
        assert store.standing([1, 2, 3]) == {2, 3}


def test_an_erasure_takes_its_place_among_the_jobs(store_url: str) -> None:
    with open_store(store_url) as store:
        before, after = event(item="i1"), event(item="i2")
        done = write(
            store,
            Append([before, event("v")]),
            SaveStates([KeptState("u", "f", 1, 1, 0, b"a")]),
            Erase("u"),
            Append([after]),
            Erase("nobody"),
        )
        assert (done[2], done[4]) == (1, 0)
        assert items(store) == ["i2"] and items(store, "v") == ["i1"] and store.state_of("u") is None
        (last,) = store.events_of("u")
        write(store, Erase("u"))
        (again,) = write(store, Append([event()]))
        assert again.stored[0][1].id > last.id  # an id is never given twice, so a state cannot take it for the erased


def test_batches_of_items(store_url: str) -> None:
    batches = [ItemBatch("f", "{}", 1.5, f'[{{"item_id": "n{number}"}}]', bytes([number]), 1.0) for number in range(3)]
    with open_store(store_url) as store:
        write(store, *batches)
        assert store.item_batches() == batches
        store.check()


def test_the_last_word_on_an_item_and_of_a_document_is_kept(store_url: str) -> None:
    with open_store(store_url) as store:
        assert store.availability() == {} and store.document("bandit") is None
        write(store, SetAvailable({"i1": False, "ü%s": True}, 1.0), SetAvailable({"i1": True, "i2": False}, 2.0))
        write(store, KeepDocument("bandit", "a"), KeepDocument("other", "c"), KeepDocument("bandit", "b"))
    with open_store(store_url) as store:
        assert store.availability() == {"i1": True, "ü%s": True, "i2": False}
        assert store.document("bandit") == "b" and store.document("other") == "c"


def test_one_service_has_a_store(store_url: str) -> None:
    """Two would hold states of users whose events the other one takes in."""
    with open_store(store_url):
        said: list[str] = []

        def second() -> None:  # in a thread of its own, as a lock of a file is one's own to take again
            try:
                with open_store(store_url):
                    said.append("opened")
            except ValueError as error:
                said.append(str(error))

        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        assert len(said) == 1 and "give another --store" in said[0]
    with open_store(store_url) as store:
        store.check()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "A store must be sqlite:///FILE or postgresql"),
        ("mysql://u:secret@h/d", "got mysql://u:\\*\\*\\*@h/d"),
        ("sqlite://", "An SQLite store must be a file"),
        ("sqlite:///:memory:", "An SQLite store must be a file"),
        ("postgresql+psycopg://u:secret@127.0.0.1:1/d", r"u:\*\*\*@127.0.0.1:1/d cannot be opened"),
    ],
)
def test_other_urls(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as found, open_store(url):
        pass
    assert "secret" not in str(found.value)
