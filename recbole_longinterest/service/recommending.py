"""What the service answers to who asks for items: from a state, a history, or an item, with strategies or without."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import recbole_longinterest.service.schemas as schemas
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.service.answers import answer_of, items_of, recommendations_of, valid
from recbole_longinterest.service.incoming import as_event, check
from recbole_longinterest.service.items import Items
from recbole_longinterest.service.metrics import Metrics
from recbole_longinterest.service.problems import UNREADABLE, Problem
from recbole_longinterest.service.shop import ServiceShop, Wish
from recbole_longinterest.service.store.database import StoreError
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
from recbole_longinterest.serving.strategies import Shop
from recbole_longinterest.serving.visitor import Visitor

Value = TypeVar("Value")


class Recommending:
    """Chooses items.

    Args:
        items: with the model in force.
        users: their states.
        shop: strategies and rules.
        store: with events.
        work: does what takes long.
        choosing: likewise, for what the shop answers.
        metrics: of the service.
        now: seconds since 1970.
    """

    def __init__(
        self,
        items: Items[Shop | None],
        users: Users,
        shop: ServiceShop,
        store: Store,
        work: LongWork,
        choosing: LongWork,
        metrics: Metrics,
        now: Callable[[], float],
    ) -> None:
        self._items, self._users, self._shop, self._store = items, users, shop, store
        self._work, self._choosing, self._metrics, self._now = work, choosing, metrics, now

    async def to_user(self, user: str, wish: Wish) -> schemas.Recommendations:
        """See :meth:`Service.recommend`."""
        if self._items.model.served.history_limit is None:
            state = await readable(self._users.state(user))
            model = state.scorer
            now = clock(model, self._now())
            if self._shop.decides(wish):
                # Made here, because the state goes on; what else it needs is read where a strategy asks for it.
                visitor = Visitor.of_state(state, lambda: _read(model, self._store.events_of(user)), now)
                return await self._choose(lambda _: visitor, wish)
            found = valid(lambda: recommend_states([state], wish.k, wish.exclude_seen, wish.exclude, now))[0]
            return self._plain(found)
        # A window of events has no state.
        stored = await self._work.do(lambda: self._store.events_of(user))
        if self._shop.decides(wish):
            return await self._choose(lambda model: self._visitor(model, _read(model, stored)), wish)
        events = [each.event() for each in stored]
        return self._plain(await self._work.do(lambda: self._by_history(events, wish)))

    async def to_history(self, ask: schemas.Ask) -> schemas.Recommendations:
        """See :meth:`Service.recommend_to`."""
        events = [as_event(event) for event in ask.events]
        check(self._items.model, events)
        wish = Wish(ask.k, ask.exclude_seen, ask.exclude, ask.strategy, ask.adult, ask.where, ask.candidates)
        if self._shop.decides(wish):
            return await self._choose(
                lambda model: self._visitor(model, valid(lambda: model.reader.read(events, ask.user))), wish
            )
        return self._plain(await self._work.do(lambda: self._by_history(events, wish, ask.user)))

    async def similar(self, item: str, k: int) -> schemas.Items:
        """See :meth:`Service.similar`."""
        self._items.number(item)
        if not self._shop.in_use:
            return await self._items.similar(item, k)
        return items_of((await self._choosing.do(lambda: self._shop.like(item, k))).items)

    def _by_history(self, events: Sequence[Event], wish: Wish, user: dict[str, Any] | None = None) -> Recommendation:
        model, users = self._items.model, None if user is None else [user]
        how = (wish.k, wish.exclude_seen, wish.candidates)
        now = clock(model, self._now())
        return valid(lambda: model.recommend_many([events], *how, users=users, exclude=wish.exclude, at=now))[0]

    async def _choose(self, visitor_of: Callable[[Recommender], Visitor], wish: Wish) -> schemas.Recommendations:
        found, visitor, basis = await self._choosing.do(lambda: self._shop.answer(visitor_of, wish))
        unknown = 0 if callable(visitor.given) else len(visitor.given.unknown)
        return self._counted(answer_of(found, visitor, basis, unknown, self._items.model.fingerprint))

    def _visitor(self, model: Scorer, history: History) -> Visitor:
        return Visitor.of_history(model, history, clock(model, self._now()))

    def _plain(self, found: Recommendation) -> schemas.Recommendations:
        return self._counted(recommendations_of(found, self._items.model.fingerprint))

    def _counted(self, answer: schemas.Recommendations) -> schemas.Recommendations:
        self._metrics.answers.labels(answer.basis).inc()
        for name, number in Counter(item.strategy for item in answer.items).items():
            self._metrics.items.labels(name).inc(number)
        return answer


async def readable(made: Awaitable[Value]) -> Value:
    """What is made of stored events, which another model may have taken in.

    Raises:
        Problem: if the model cannot read them.
        StoreError: if the store fails.
    """
    try:
        return await made
    except StoreError:
        raise
    except LongInterestError as error:
        raise Problem(UNREADABLE, str(error)) from error


def _read(model: Scorer, stored: Sequence[StoredEvent]) -> History:
    """The same without waiting."""
    try:
        return model.reader.read([each.event() for each in stored])
    except LongInterestError as error:
        raise Problem(UNREADABLE, str(error)) from error
