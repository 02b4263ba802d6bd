"""What the service answers to who asks for items: from a state, a history, or an item, with strategies or without."""

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
    """The model was exchanged while a request was worked at."""


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
        shadow: is offered what was asked and answered.
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
            except ModelChanged:  # between the state and the choice: the next turn has one model for both
                continue
        self._offer(answer, wish, user=user)
        return answer

    async def _to_user(self, user: str, wish: Wish) -> schemas.Recommendations:
        if self._items.model.served.history_limit is None:
            state = await readable(self._users.state(user))
            model = state.scorer
            now = clock(model, self._now())
            if self._shop.decides(wish):
                # Made here, because the state goes on; what else it needs is read where a strategy asks for it.
                visitor = Visitor.of_state(state, lambda: _read(model, self._store.events_of(user)), now)

                def made(of: Recommender) -> Visitor:
                    if of is not model:
                        raise ModelChanged
                    return visitor

                return await self._choose(made, wish)
            found = valid(lambda: recommend_states([state], wish.k, wish.exclude_seen, wish.exclude, now))[0]
            return self._plain(found, model)
        # A window of events has no state.
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
