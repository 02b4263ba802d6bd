"""Answers about the model: its inputs, explanations of scores, and the interest over time."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import recbole_longinterest.service.insight_schemas as schemas
from recbole_longinterest.service.answers import explanation_of, valid
from recbole_longinterest.service.incoming import as_event, check, counts_from_1970, invalid
from recbole_longinterest.service.items import Items
from recbole_longinterest.service.problems import UNKNOWN_USER, Problem
from recbole_longinterest.service.schemas import HistoryEvent
from recbole_longinterest.service.shop import ServiceShop
from recbole_longinterest.service.shop_parts import Prepared
from recbole_longinterest.service.work import LongWork
from recbole_longinterest.serving.events import History
from recbole_longinterest.serving.explain.page import SERIES, courses
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.request_times import clock
from recbole_longinterest.serving.results import Recommendation
from recbole_longinterest.serving.text_vectors import has_encoder

MOST_POSITIONS = 2**22  # maximum number of events read again for one explanation request, which takes seconds


class Insight:
    """Answers questions about the active model.

    Args:
        items: the items, with the model.
        shop: the shop, with the strategies.
        work: thread pool for slow work.
        choosing: thread pool for the shop.
        max_events: maximum number of events of a request.
        now: returns the time in seconds since 1970.
    """

    def __init__(
        self,
        items: Items[Prepared],
        shop: ServiceShop,
        work: LongWork,
        choosing: LongWork,
        max_events: int,
        now: Callable[[], float],
    ) -> None:
        self._items, self._shop, self._work, self._choosing = items, shop, work, choosing
        self._max_events, self._now = max_events, now

    def model(self) -> schemas.ModelInfo:
        """Describe the model and its inputs."""
        model = self._items.model
        return schemas.ModelInfo(
            model=model.fingerprint,
            items=model.n_items,
            ratings=_ratings(model),
            behaviors=list(model.reader.behaviors.names),
            times=any(spec.name == "time" for spec in model.served.sources),
            dates=counts_from_1970(model),
            categories=any(model.served.items.categories),
            texts=has_encoder(model.served),
            rules=self._shop.rules is not None,
        )

    async def strategies(self) -> schemas.Strategies:
        """List the strategies, and why some cannot be used.

        Raises:
            Problem: if the model's index cannot be used.
        """
        found = await self._choosing.do(self._shop.strategies)
        listed = [schemas.StrategyInfo(name=name, available=not said, problem=said or None) for name, said in found]
        return schemas.Strategies(strategies=listed)

    async def explain(self, ask: schemas.AskWhy) -> schemas.Explanations:
        """Explain scores for a history that is not stored.

        Raises:
            Problem: for unknown items, events that the model cannot read, or a request that would take too long.
        """
        numbers = [self._items.number(item) for item in ask.items]
        model, history = self._read(ask.events, ask.user)
        positions = len(numbers) * len(history) ** 2
        if ask.method != "attention" and positions > MOST_POSITIONS:
            most = int((MOST_POSITIONS / len(numbers)) ** 0.5)
            raise invalid(
                "events",
                f"{len(numbers)} items can be explained for up to {most:,} events; got {len(history):,}. Ask for fewer "
                "items, or use the method attention.",
            )

        def one(item: int) -> schemas.ItemExplanation:
            found = explanation_of(model, history, item, ask.method)
            return schemas.ItemExplanation(**found.model_dump(), categories=model.served.items.categories[item])

        return schemas.Explanations(explanations=await self._work.do(lambda: [one(item) for item in numbers]))

    async def interest(self, ask: schemas.AskInterest) -> schemas.InterestOverTime:
        """Compute the interest over time for a history that is not stored.

        Raises:
            Problem: for events that the model cannot read, or too many events.
        """
        model, history = self._read(ask.events, ask.user)
        events = [as_event(event) for event in ask.events]
        users = None if ask.user is None else [ask.user]

        def made() -> schemas.InterestOverTime:
            return _interest(model, history, model.recommend_many([events], SERIES, users=users, at=history.at)[0])

        return await self._work.do(lambda: valid(made, "events"))

    def _read(self, given: Sequence[HistoryEvent], user: dict[str, Any] | None) -> tuple[Recommender, History]:
        if len(given) > self._max_events:
            raise invalid("events", f"A request may have up to {self._max_events:,} events; got {len(given):,}.")
        model, events = self._items.model, [as_event(event) for event in given]
        check(model, events)
        history = valid(lambda: model.reader.read(events, user))
        if not len(history):
            raise Problem(
                UNKNOWN_USER, "The model knows none of the items of the events, so it cannot explain anything."
            )
        return model, replace(history, at=clock(model, self._now()))


def _ratings(model: Recommender) -> schemas.RatingScale | None:
    """Return the rating levels in the scale of the data; the training may have normalised them."""
    spec = next((spec for spec in model.served.sources if spec.name == "rating"), None)
    if spec is None:
        return None
    low, high = spec.settings.get("range") or (0.0, 1.0)
    return schemas.RatingScale(values=[round(low + value * (high - low), 6) for value in spec.settings["values"]])


def _interest(model: Recommender, history: History, found: Recommendation) -> schemas.InterestOverTime:
    history = model.windowed(history)
    tokens, titles = model.served.items.tokens, model.served.items.titles
    series = [schemas.Series(name=line.name, values=line.values) for line in courses(model, history, found)]
    events = [
        schemas.ReadEvent(item=tokens[item], title=titles[item], date=model.reader.times.date_of(time))
        for item, time in zip(history.item_seq.tolist(), history.time.tolist(), strict=True)
    ]
    return schemas.InterestOverTime(
        of="categories" if any(model.served.items.categories) else "items", events=events, series=series
    )
