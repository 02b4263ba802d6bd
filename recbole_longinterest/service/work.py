"""What takes long, in a few threads beside the event loop, and no more of it than they can do."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from recbole_longinterest.service.problems import BUSY, Problem

THREADS = 2  # more would only share the same cores
MOST = 64

Value = TypeVar("Value")


class LongWork:
    """Does work in threads.

    Args:
        most: pieces of work that run or wait; more are refused.

    Attributes:
        threads: they run in.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self.threads = ThreadPoolExecutor(THREADS, "work")
        self._running = 0

    async def do(self, work: Callable[[], Value]) -> Value:
        """Do a piece of work.

        Raises:
            Problem: if too much waits already.
        """
        if self._running >= self._most:
            raise Problem(BUSY, f"{self._running} requests that take long are worked at. Try again later.")
        self._running += 1
        running = asyncio.get_running_loop().run_in_executor(self.threads, work)
        running.add_done_callback(self._done)
        return await running

    def stop(self) -> None:
        """Wait for what runs, and leave out what waits."""
        self.threads.shutdown(wait=True, cancel_futures=True)

    def _done(self, running: "asyncio.Future[Value]") -> None:
        self._running -= 1
        if not running.cancelled():
            running.exception()  # seen, also where the client has gone
