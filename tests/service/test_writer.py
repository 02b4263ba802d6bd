"""Group commit: what arrives during a commit shares the next one, and one job's error is its own."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from recbole_longinterest.service import writer as module
from recbole_longinterest.service.store.errors import StoreError
from recbole_longinterest.service.store.records import Append, Erase, Job
from recbole_longinterest.service.writer import StoreBusyError, Writer


class SlowStore:
    """A store whose commits wait for the test; jobs of some users fail."""

    def __init__(self) -> None:
        self.commits: list[list[str]] = []
        self.go_on = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)

    def write(self, jobs: Sequence[Job]) -> list[Any]:
        users = [job.user for job in jobs if isinstance(job, Erase)]
        self.begun.release()
        self.go_on.acquire()
        if "poison" in users:
            raise StoreError("The store cannot be written: poison.")
        if "bug" in users:
            raise RuntimeError("u17 has a bug")
        self.commits.append(users)
        return [f"erased {user}" for user in users]


def test_jobs_that_arrive_during_a_commit_share_the_next_one() -> None:
    store, committed, measured = SlowStore(), list[Any](), list[int]()

    async def work() -> list[Any]:
        writer = Writer(store, committed.extend, lambda jobs, seconds: measured.append(jobs))  # type: ignore[arg-type]
        writer.start()
        first = writer.submit(Erase("a"))
        await asyncio.to_thread(store.begun.acquire)
        rest = [writer.submit(Erase(user)) for user in "bcd"]
        assert not first.done()  # nothing is acknowledged before its commit has ended
        store.go_on.release()
        assert await first == "erased a" and not any(future.done() for future in rest)
        store.go_on.release()
        found = await asyncio.gather(*rest)
        store.go_on.release()
        await writer.stop()
        return found

    assert asyncio.run(work()) == ["erased b", "erased c", "erased d"]
    assert store.commits == [["a"], ["b", "c", "d"]] and measured == [1, 3]
    assert [result for _, result in committed] == [f"erased {user}" for user in "abcd"]


def test_a_job_that_the_database_refuses_takes_no_other_with_it() -> None:
    store, committed = SlowStore(), list[Any]()

    async def work() -> list[Any]:
        writer = Writer(store, committed.extend)  # type: ignore[arg-type]
        writer.start()
        first = writer.submit(Erase("a"))
        await asyncio.to_thread(store.begun.acquire)
        rest = [writer.submit(Erase(user)) for user in ("b", "poison", "bug", "c")]
        for _ in range(6):
            store.go_on.release()
        found = await asyncio.gather(first, *rest, return_exceptions=True)
        await writer.stop()
        return found

    a, b, poison, bug, c = asyncio.run(work())
    assert (a, b, c) == ("erased a", "erased b", "erased c")
    assert str(poison) == "The store cannot be written: poison."
    assert isinstance(bug, StoreError) and str(bug) == "The store cannot be written."  # and nothing of the user
    assert [result for _, result in committed] == ["erased a", "erased b", "erased c"]


def test_stopping_commits_what_was_submitted_and_refuses_more() -> None:
    store = SlowStore()

    async def work() -> None:
        writer = Writer(store, lambda done: None)  # type: ignore[arg-type]
        writer.start()
        futures = [writer.submit(Erase(str(number))) for number in range(10)]
        futures[3].cancel()  # a client that went
        for _ in range(10):
            store.go_on.release()
        await writer.stop()
        assert all(future.done() for future in futures) and futures[9].result() == "erased 9"
        with pytest.raises(StoreBusyError, match="The service is stopping"):
            writer.submit(Erase("late"))

    asyncio.run(work())
    assert sorted(user for users in store.commits for user in users) == sorted(map(str, range(10)))


def test_more_than_the_store_can_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    store = SlowStore()

    async def work() -> None:
        writer = Writer(store, lambda done: None)  # type: ignore[arg-type]
        writer.start()
        waiting = [writer.submit(Erase("a")), writer.submit(Erase("b"))]
        with pytest.raises(StoreBusyError, match=r"2 events already wait for the store. Try again later"):
            writer.submit(Append([None]))  # type: ignore[list-item]
        store.go_on.release(2)
        await asyncio.gather(*waiting)
        more = writer.submit(Erase("c"))
        store.go_on.release(2)
        await more
        await writer.stop()

    asyncio.run(work())
