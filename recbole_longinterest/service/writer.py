"""Group commit: one thread commits all pending jobs together, and notifies the callers after the commit is on disk.

While it waits for the disk the next jobs gather, so under load more jobs share a commit.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from logging import WARNING
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any, TypeAlias

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.service.logs import log
from recbole_longinterest.service.store.errors import StoreError
from recbole_longinterest.service.store.records import Append, Job
from recbole_longinterest.service.store.store import Store

MOST_EVENTS = 20_000  # per commit
MOST_WAITING = 200_000  # maximum events waiting for a commit; more are rejected

Entry: TypeAlias = "tuple[Job, asyncio.Future[Any]]"
Committed: TypeAlias = "Callable[[Sequence[tuple[Job, Any]]], None]"
Measured: TypeAlias = "Callable[[int, float], None]"


class StoreBusyError(LongInterestError):
    """Too many events wait for the store, or the service is stopping."""


class Writer:
    """Writes jobs to a store, in the order in which they are submitted.

    Args:
        store: the store; no other thread of this process writes it.
        committed: called in the event loop after a commit, before the callers continue, with jobs and results.
        measured: called in the event loop with the number of jobs and the duration in seconds of each commit.
    """

    def __init__(self, store: Store, committed: Committed, measured: Measured = lambda jobs, seconds: None) -> None:
        self._store = store
        self._committed, self._measured = committed, measured
        self._queue: SimpleQueue[Entry | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._waiting = 0

    def start(self) -> None:
        """Start the thread; call this in the running event loop."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="store writer", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Commit all submitted jobs, and stop."""
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
            await asyncio.sleep(0)  # run the callbacks that the thread has scheduled
            self._thread = None

    def submit(self, job: Job) -> "asyncio.Future[Any]":
        """Submit a job.

        Returns:
            A future with the job's result after the commit, or with the error of :meth:`Store.write` or of the job.

        Raises:
            StoreBusyError: if too many events wait, or the writer is not running.
        """
        size = _size(job)
        if self._thread is None:
            raise StoreBusyError("The service is stopping.")
        if self._waiting + size > MOST_WAITING:
            raise StoreBusyError(f"{self._waiting:,} events already wait for the store. Try again later.")
        self._waiting += size
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.put((job, future))
        return future

    def submit_quietly(self, job: Job) -> None:
        """Submit a job without waiting for it; it is dropped if too many events wait."""
        try:
            self.submit(job).add_done_callback(_say_if_failed)
        except StoreBusyError:
            return

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        open_ = True
        while open_:
            group, open_ = self._next()
            if not group:
                continue
            began = perf_counter()
            results = self._write([job for job, _ in group])
            loop.call_soon_threadsafe(self._settle, group, results, perf_counter() - began)

    def _next(self) -> tuple[list[Entry], bool]:
        """Wait for pending jobs; also return whether the writer continues."""
        entry = self._queue.get()
        group, size = [], 0
        while entry is not None:
            group.append(entry)
            size += _size(entry[0])
            if size >= MOST_EVENTS:
                return group, True
            try:
                entry = self._queue.get_nowait()
            except Empty:
                return group, True
        return group, False

    def _write(self, jobs: Sequence[Job]) -> list[Any]:
        """Write jobs and return their results; if they fail together, each is written separately."""
        try:
            return self._store.write(jobs)
        except Exception as error:
            if len(jobs) == 1:
                return [error if isinstance(error, StoreError) else StoreError("The store cannot be written.")]
        return [result for job in jobs for result in self._write([job])]

    def _settle(self, group: Sequence[Entry], results: Sequence[Any], seconds: float) -> None:
        self._waiting -= sum(_size(job) for job, _ in group)
        self._measured(len(group), seconds)
        done = [(job, result) for (job, _), result in zip(group, results, strict=True)]
        self._committed([pair for pair in done if not isinstance(pair[1], Exception)])
        for (_, future), result in zip(group, results, strict=True):
            if future.done():  # the client has disconnected
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


def _say_if_failed(done: "asyncio.Future[Any]") -> None:
    if not done.cancelled() and done.exception() is not None:
        log("not stored", WARNING, error=done.exception())


def _size(job: Job) -> int:
    return len(job.events) if isinstance(job, Append) else 1
