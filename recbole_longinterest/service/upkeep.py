"""Background tasks of the service: follow changes by other processes, and clean up the store."""

import asyncio
from collections.abc import Callable
from functools import partial
from logging import ERROR, WARNING
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.service.items import Items
from recbole_longinterest.service.logs import log
from recbole_longinterest.service.metrics import Metrics
from recbole_longinterest.service.models import DOCUMENT, Models
from recbole_longinterest.service.problems import Problem
from recbole_longinterest.service.shop import ServiceShop
from recbole_longinterest.service.shop_parts import Prepared
from recbole_longinterest.service.store.errors import StoreError, StoreLostError
from recbole_longinterest.service.store.store import Store
from recbole_longinterest.service.users import Users
from recbole_longinterest.service.work import LongWork

LOOK = 1.0  # seconds between checks of the store
SWEEP = 60  # checks between searches for users that another process has erased
AT_ONCE = 1000  # states per query of a search
TIDY = 3600.0  # seconds between clean-ups of the store


class Upkeep:
    """Runs the background tasks.

    Args:
        store: store of the service.
        items: items; they follow additions by other processes.
        shop: shop; it follows changes by other processes.
        models: models; they follow changes by other processes.
        users: user states; those of erased users are dropped.
        metrics: metrics to refresh.
        work: thread pool for reading the store.
        tidy: cleans up the store.
        lost: called when another service has taken the store.
    """

    def __init__(
        self,
        store: Store,
        items: Items[Prepared],
        shop: ServiceShop,
        models: Models,
        users: Users,
        metrics: Metrics,
        work: LongWork,
        tidy: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        self._store, self._items, self._shop, self._models = store, items, shop, models
        self._users, self._metrics, self._work = users, metrics, work
        self._tidy, self._lost = tidy, lost
        self._numbers = store.changes()
        self._failing = False
        self._tasks: list[asyncio.Future[None]] = []

    async def start(self) -> None:
        """Start the tasks."""
        await self._models.start()
        self._tasks = [asyncio.ensure_future(self._look_often()), asyncio.ensure_future(self._tidy_often())]

    async def stop(self) -> None:
        """Stop the tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._models.stop()

    def own(self, name: str, number: int) -> None:
        """Note a change made by this process, so that it is not followed.

        Args:
            name: name of the change counter.
            number: its new value.
        """
        if number == self._numbers.get(name, 0) + 1:  # otherwise another process has changed it, too
            self._numbers[name] = number

    async def look(self) -> None:
        """Check the store once, and follow changes.

        Raises:
            StoreLostError: if another service has taken the store.
            StoreError: if the store does not answer.
        """
        await self._in_thread(self._store.keep)
        before = self._numbers
        if self._store.shared:
            self._numbers = {**before, **await self._in_thread(self._store.changes)}

        def changed(name: str) -> bool:
            return self._numbers.get(name) != before.get(name)

        if changed("items"):
            await self._items.follow()
        if changed("availability") or changed("bandit"):
            await self._shop.refresh()
        await self._models.look(changed(DOCUMENT))

    async def sweep(self) -> None:
        """Drop the states of users that another process has erased."""
        last = self._users.last_events()
        users = list(last)
        for begin in range(0, len(users), AT_ONCE):
            part = users[begin : begin + AT_ONCE]
            there = await self._in_thread(partial(self._store.standing, [last[user] for user in part]))
            for user in part:
                if last[user] not in there:
                    self._users.forget(user)

    async def _look_often(self) -> None:
        looks = 0
        while True:
            await asyncio.sleep(LOOK)
            looks += 1
            try:
                await self.look()
                if self._store.shared and looks % SWEEP == 0:
                    await self.sweep()
                self._failing = False
            except StoreLostError as error:
                log("store lost", ERROR, detail=str(error))
                self._lost()
                return
            except (LongInterestError, Problem) as error:
                if not self._failing or not isinstance(error, StoreError):  # log an unreachable store only once
                    log("not followed", WARNING, error=error, detail=str(error))
                self._failing = isinstance(error, StoreError)
            self._metrics.refresh()

    async def _tidy_often(self) -> None:
        while True:
            self._tidy()
            await asyncio.sleep(TIDY)

    async def _in_thread(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - the work's result
        return await asyncio.get_running_loop().run_in_executor(self._work.threads, work)
