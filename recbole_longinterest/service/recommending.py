"""Answer requests for items: from a user state, a history, or an item, with or without strategies."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import recbole_longinterest.service.schemas as schemas
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.service.answers import answer_of, by_history, items_of, recommendations_of, valid
from recbole_longinterest.service.incoming import as_event, check
from recbole_longinterest.service.items import Items
from recbole_longinterest.service.metrics import Metrics
from recbole_longinterest.service.problems import UNREADABLE, Problem
from recbole_longinterest.service.shadow import Shadow
from recbole_longinterest.service.shadow_process import Asked
from recbole_longinterest.service.shop import ServiceShop
from recbole_longinterest.service.shop_parts import Prepared, Wish
from recbole_longinterest.service.store.errors import StoreError
from recbole_longinterest.service.store.records import StoredEvent
from recbole_longinterest.service.store.store import Store
from recbole_longinterest.service.users import Users
from recbole_longinterest.service.work import LongWork
from recbole_longinterest.serving.events import Event, History
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.request_times import clock
from recbole_longinterest.serving.results import Recommendation
from recbole_longinterest.serving.scorer import Scorer
from recbole_longinterest.serving.state import recommend_states
from recbole_longinterest.serving.visitor import Visitor

Value = TypeVar("Value")


class ModelChanged(Exception):
    """The model was replaced while a request was processed."""


class Recommending:
    """Recommends items.

    Args:
        items: the items, with the active model.
        users: user states.
        shop: strategies and rules.
        store: the store, with events.
        work: thread pool for slow work.
        choosing: thread pool for the shop.
        metrics: metrics of the service.
        now: returns the time in seconds since 1970.
        shadow: receives requests and answers.
    """

    def __init__(
        self,
        items: Items[Prepared],
        users: Users,
        shop: ServiceShop,
        store: Store,
        work: LongWork,
        choosing: LongWork,
        metrics: Metrics,
        now: Callable[[], float],
        shadow: Shadow,
    ) -> None:
        self._shadow = shadow
        self._items, self._users, self._shop, self._store = items, users, shop, store
        self._work, self._choosing, self._metrics, self._now = work, choosing, metrics, now

    async def to_user(self, user: str, wish: Wish) -> schemas.Recommendations:
        """See :meth:`Service.recommend`."""
        while True:
            try:
                answer = await self._to_user(user, wish)
                break
            except ModelChanged:  # between reading the state and choosing items: retry with the new model
                continue
        self._offer(answer, wish, user=user)
        return answer

    async def _to_user(self, user: str, wish: Wish) -> schemas.Recommendations:
        if self._items.model.served.history_limit is None:
            state = await readable(self._users.state(user))
            model = state.scorer
            now = clock(model, self._now())
            if self._shop.decides(wish):
                # Copied here, because the state keeps changing; the full history is read only if a strategy needs it.
                visitor = Visitor.of_state(state, lambda: _read(model, self._store.events_of(user)), now)

                def made(of: Recommender) -> Visitor:
                    if of is not model:
                        raise ModelChanged
                    return visitor

                return await self._choose(made, wish)
            found = valid(lambda: recommend_states([state], wish.k, wish.exclude_seen, wish.exclude, now))[0]
            return self._plain(found, model)
        # A model with a history limit has no states.
        stored = await self._work.do(lambda: self._store.events_of(user))
        if self._shop.decides(wish):
            return await self._choose(lambda model: self._visitor(model, _read(model, stored)), wish)
        events = [each.event() for each in stored]
        model = self._items.model
        return self._plain(await self._work.do(lambda: by_history(model, events, wish, self._now())), model)

    async def to_history(self, ask: schemas.Ask) -> schemas.Recommendations:
        """See :meth:`Service.recommend_to`."""
        events = [as_event(event) for event in ask.events]
        model = self._items.model
        check(model, events)
        wish = Wish(ask.k, ask.exclude_seen, ask.exclude, ask.strategy, ask.adult, ask.where, ask.candidates)
        if self._shop.decides(wish):
            answer = await self._choose(
                lambda model: self._visitor(model, valid(lambda: model.reader.read(events, ask.user))), wish
            )
        else:
            found = await self._work.do(lambda: by_history(model, events, wish, self._now(), ask.user))
            answer = self._plain(found, model)
        self._offer(answer, wish, events=events, about=ask.user)
        return answer

    async def similar(self, item: str, k: int) -> schemas.Items:
        """See :meth:`Service.similar`."""
        self._items.number(item)
        if not self._shop.in_use:
            return await self._items.similar(item, k)
        return items_of((await self._choosing.do(lambda: self._shop.like(item, k))).items)

    async def _choose(self, visitor_of: Callable[[Recommender], Visitor], wish: Wish) -> schemas.Recommendations:
        used: list[Recommender] = []

        def made(model: Recommender) -> Visitor:
            used.append(model)
            return visitor_of(model)

        found, visitor, basis = await self._choosing.do(lambda: self._shop.answer(made, wish))
        unknown = 0 if callable(visitor.given) else len(visitor.given.unknown)
        return self._counted(answer_of(found, visitor, basis, unknown, used[-1].fingerprint))

    def _visitor(self, model: Scorer, history: History) -> Visitor:
        return Visitor.of_history(model, history, clock(model, self._now()))

    def _offer(
        self,
        answer: schemas.Recommendations,
        wish: Wish,
        user: str | None = None,
        events: list[Event] | None = None,
        about: dict[str, Any] | None = None,
    ) -> None:
        if self._shadow.active:
            items = [item.item for item in answer.items]
            self._shadow.offer(Asked(user, events, about, wish, items, answer.model, self._now()))

    def _plain(self, found: Recommendation, model: Scorer) -> schemas.Recommendations:
        return self._counted(recommendations_of(found, model.fingerprint))

    def _counted(self, answer: schemas.Recommendations) -> schemas.Recommendations:
        self._metrics.answers.labels(answer.basis).inc()
        for name, number in Counter(item.strategy for item in answer.items).items():
            self._metrics.items.labels(name).inc(number)
        return answer


async def readable(made: Awaitable[Value]) -> Value:
    """Await a result built from stored events, which may have been accepted by an earlier model.

    Raises:
        Problem: if the active model cannot read the events.
        StoreError: if the store fails.
    """
    try:
        return await made
    except StoreError:
        raise
    except LongInterestError as error:
        raise Problem(UNREADABLE, str(error)) from error


def _read(model: Scorer, stored: Sequence[StoredEvent]) -> History:
    """Read stored events into a history; like :func:`readable`, but synchronous."""
    try:
        return model.reader.read([each.event() for each in stored])
    except LongInterestError as error:
        raise Problem(UNREADABLE, str(error)) from error
