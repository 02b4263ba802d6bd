"""The service without HTTP: stores events, recommends, explains, and erases users.

Fast work runs in the event loop, so states need no locks; slow work runs in a few threads.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import recbole_longinterest.service.schemas as schemas
from recbole_longinterest.service.answers import explanation_of, profile_of
from recbole_longinterest.service.feedback import Feedback
from recbole_longinterest.service.incoming import invalid, to_append
from recbole_longinterest.service.insight import Insight
from recbole_longinterest.service.items import Items
from recbole_longinterest.service.metrics import Metrics
from recbole_longinterest.service.models import Models
from recbole_longinterest.service.options import ServiceOptions
from recbole_longinterest.service.problems import BUSY, UNKNOWN_USER, Problem
from recbole_longinterest.service.recommending import Recommending, readable
from recbole_longinterest.service.shadow import Shadow
from recbole_longinterest.service.shop import ServiceShop
from recbole_longinterest.service.shop_parts import Prepared, Wish
from recbole_longinterest.service.store.records import (
    Append,
    Appended,
    Erase,
    ForgetRequests,
    ItemBatch,
    Job,
    KeptState,
    Request,
    SaveStates,
    StoredEvent,
)
from recbole_longinterest.service.store.store import Store
from recbole_longinterest.service.upkeep import Upkeep
from recbole_longinterest.service.users import Users
from recbole_longinterest.service.versions import Versions
from recbole_longinterest.service.work import LongWork
from recbole_longinterest.service.writer import StoreBusyError, Writer
from recbole_longinterest.serving.events import History
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.request_times import clock

SAVED_TOGETHER = 1000  # states per job
REQUESTS_KEPT = 7 * 86400.0  # seconds for which idempotency keys are kept


class Service:
    """A served model with its store.

    Args:
        model: model of an exported folder.
        store: an open store.
        options: options of the service.
        clock: returns the time in seconds since 1970.
        versions: versions that the model can be switched to; None for a single model.
        version: the model's version name.
        lost: called when another service has taken the store.

    Attributes:
        options: options of the service.
        metrics: metrics of the service.
        store: the store.
        items: items of the model.
        shop: strategies and rules.
        models: model versions.
        feedback: feedback on answers.
        insight: answers about the model.
        ready: whether the service takes requests.
    """

    def __init__(
        self,
        model: Recommender,
        store: Store,
        options: ServiceOptions | None = None,
        clock: Callable[[], float] = time.time,
        versions: Versions | None = None,
        version: str | None = None,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self.options, self.store, self.metrics, self.ready = options or ServiceOptions(), store, Metrics(), False
        self._clock, self._work = clock, LongWork()
        self._choosing = LongWork(self.options.max_requests)  # its own pool, so that it does not wait for slower work
        self._writer = Writer(store, self._committed, self.metrics.commit)
        self.items: Items[Prepared] = Items(
            model, store.item_batches, self._work, self._submit, self._prepare, self._follow
        )
        self.shop: ServiceShop = ServiceShop(model, self.model, self.options.rules, store, self._choosing, self._submit)
        self._users = Users(
            self.model,
            store,
            (self._choosing if store.shared else self._work).threads,  # with a shared store, every request reads
            self.options.states,
            self._keep,
            lambda source: self.metrics.states.labels(source).inc(),
        )
        shadow = Shadow(store.url, self.options, self.metrics.shadowed)
        self._recommending = Recommending(
            self.items, self._users, self.shop, store, self._work, self._choosing, self.metrics, self._clock, shadow
        )
        self.models = Models(versions, version, self.options.watch, self.items, store, self._submit, shadow)
        self._lost = lost
        self._upkeep = Upkeep(
            store,
            self.items,
            self.shop,
            self.models,
            self._users,
            self.metrics,
            self._choosing,
            self._tidy,
            self._has_lost,
        )
        self.feedback = Feedback(self.shop.bandit, self._submit, clock, self.metrics)
        self.insight = Insight(self.items, self.shop, self._work, self._choosing, self.options.max_events, clock)
        self.metrics.watch("states_in_memory", "States held in memory", lambda: len(self._users))
        self.metrics.watch("items", "Items that can be recommended", lambda: self.model.n_items, "livemax")

    @property
    def model(self) -> Recommender:
        """The model with added items."""
        return self.items.model

    async def start(self) -> None:
        """Start to take requests."""
        self._writer.start()
        await self._upkeep.start()
        self.ready = True

    async def stop(self) -> None:
        """Commit pending jobs, save the states, and stop."""
        self.ready = False
        await self._upkeep.stop()
        left = self._users.leave()
        for begin in range(0, len(left), SAVED_TOGETHER):
            self._keep(left[begin : begin + SAVED_TOGETHER])
        await self._writer.stop()
        self._choosing.stop()
        self._work.stop()

    # --- events and users --------------------------------------------------------------------------------------------

    async def take_events(self, events: Sequence[schemas.NewEvent], request: Request | None = None) -> Appended:
        """Store events; they are on disk when this returns.

        Args:
            events: events of any users.
            request: idempotency key and body hash, or None.

        Raises:
            Problem: for events that the model cannot read; no event is stored then.
            RequestChanged: for an idempotency key that was used for another body.
            StoreError: if the store fails.
        """
        self._check_number(events)
        done: Appended = await self._submit(to_append(self.model, events, request, self._clock()))
        if not done.replayed:
            counted = {"accepted": done.accepted, "duplicate": done.duplicates, "unknown_item": done.unknown}
            for outcome, number in counted.items():
                self.metrics.events.labels(outcome).inc(number)
        return done

    async def erase(self, user: str) -> int:
        """Erase a user's events and state; return the number of erased events."""
        erased = self._submit(Erase(user))
        self._users.erase(user, erased)
        number: int = await erased
        self.metrics.erased.inc()
        return number

    async def profile(self, user: str) -> schemas.Profile:
        """Return the data that the service stores about a user.

        Raises:
            Problem: for a user without events.
        """
        model = self.model
        stored, history = await self._history(user)
        return await self._work.do(lambda: profile_of(model, user, stored, history))

    # --- recommendations ---------------------------------------------------------------------------------------------

    async def recommend(self, user: str, wish: Wish) -> schemas.Recommendations:
        """Recommend for a user from all acknowledged events.

        Args:
            user: id of the user; a user without events gets popular items.
            wish: the requested options.

        Raises:
            Problem: for values that cannot be used.
        """
        return await self._recommending.to_user(user, wish)

    async def recommend_to(self, ask: schemas.Ask) -> schemas.Recommendations:
        """Recommend for a history that is not stored.

        Raises:
            Problem: for values that cannot be used.
        """
        self._check_number(ask.events)
        return await self._recommending.to_history(ask)

    async def similar(self, item: str, k: int = 10) -> schemas.Items:
        """Find items similar to an item, subject to the rules.

        Raises:
            Problem: for an unknown item.
        """
        return await self._recommending.similar(item, k)

    async def set_available(self, items: dict[str, bool]) -> schemas.Said:
        """Set which items are in stock.

        Raises:
            StoreError: if the store fails; nothing has changed.
        """
        return schemas.Said(items=len(items), unknown=await self.shop.set_available(items, self._clock()))

    async def explain(self, user: str, item: str, method: str = "removal") -> schemas.Explanation:
        """Explain an item's score for a user.

        Raises:
            Problem: for an unknown user or item, or a method that cannot be used.
        """
        model, number = self.model, self.items.number(item)
        _, history = await self._history(user)
        if not len(history):
            raise Problem(UNKNOWN_USER, "The model knows none of the user's items, so nothing can be explained.")
        asked = replace(history, at=clock(model, self._clock()))
        return await self._work.do(lambda: explanation_of(model, asked, number, method))

    async def check(self) -> bool:
        """Check the store and the rules.

        Returns:
            Whether the active rules are those of the file.

        Raises:
            StoreError: if the store does not answer.
        """
        await self._work.do(self.store.check)
        return not await self._choosing.do(self.shop.outdated)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _check_number(self, events: Sequence[object]) -> None:
        most = self.options.max_events
        if len(events) > most:
            raise invalid("events", f"A request may have up to {most:,} events; got {len(events):,}.")

    def _submit(self, job: Job) -> "asyncio.Future[Any]":
        try:
            return self._writer.submit(job)
        except StoreBusyError as error:
            raise Problem(BUSY, str(error)) from error

    def _committed(self, done: Sequence[tuple[Job, Any]]) -> None:
        for job, result in done:
            if isinstance(job, Append) and isinstance(result, Appended):
                self._users.committed(result.stored)
            elif isinstance(job, ItemBatch):
                self._upkeep.own("items", result)

    def _has_lost(self) -> None:
        self.ready = False
        self._lost()

    def _prepare(self, base: Recommender, model: Recommender) -> Prepared:
        return self.shop.prepared(base, model)

    def _follow(self, model: Recommender, carry: bool, prepared: Prepared) -> None:
        self.shop.follow(model, prepared)
        self._users.follow(model, carry)

    def _keep(self, states: list[KeptState]) -> None:
        """Save states in the store when it is not busy; unsaved states are rebuilt from the events."""
        self._writer.submit_quietly(SaveStates(states))

    def _tidy(self) -> None:
        """Delete old idempotency keys."""
        self._writer.submit_quietly(ForgetRequests(self._clock() - REQUESTS_KEPT))

    async def _history(self, user: str) -> tuple[list[StoredEvent], History]:
        """Return a user's stored events, and the history that the model reads from them."""
        model = self.model
        stored = await self._work.do(lambda: self.store.events_of(user))
        if not stored:
            raise Problem(UNKNOWN_USER, "The service has no event of this user.")
        return stored, await readable(self._work.do(lambda: model.read([each.event() for each in stored])))
