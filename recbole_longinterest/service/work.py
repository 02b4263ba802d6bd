"""Run slow work in a few threads beside the event loop, with a limit on the queue."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from recbole_longinterest.service.problems import BUSY, Problem

THREADS = 2  # more threads would only compete for the same cores
MOST = 64

Value = TypeVar("Value")


class LongWork:
    """A thread pool with a limited queue.

    Args:
        most: maximum number of tasks that run or wait; more are rejected.

    Attributes:
        threads: the thread pool.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self.threads = ThreadPoolExecutor(THREADS, "work")
        self._running = 0

    async def do(self, work: Callable[[], Value]) -> Value:
        """Run a task.

        Raises:
            Problem: if the queue is full.
        """
        if self._running >= self._most:
            raise Problem(BUSY, f"{self._running} slow requests are already running or waiting. Try again later.")
        self._running += 1
        running = asyncio.get_running_loop().run_in_executor(self.threads, work)
        running.add_done_callback(self._done)
        return await running

    def stop(self) -> None:
        """Wait for running tasks, and cancel waiting ones."""
        self.threads.shutdown(wait=True, cancel_futures=True)

    def _done(self, running: "asyncio.Future[Value]") -> None:
        self._running -= 1
        if not running.cancelled():
            running.exception()  # mark the error as retrieved, even if the client has disconnected
