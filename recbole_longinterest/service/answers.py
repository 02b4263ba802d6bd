"""Build the service's answers from a model and a history; pure functions that may run in any thread."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import recbole_longinterest.service.schemas as schemas
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.service.incoming import invalid
from recbole_longinterest.service.shop_parts import Wish
from recbole_longinterest.service.store.records import StoredEvent
from recbole_longinterest.serving.events import Event, History
from recbole_longinterest.serving.explain.category_profile import category_profile_of
from recbole_longinterest.serving.explain.methods import explain_history, score_of
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.request_times import clock
from recbole_longinterest.serving.results import POPULARITY, Recommendation, Recommended
from recbole_longinterest.serving.strategies import Answer, Suggested
from recbole_longinterest.serving.visitor import Visitor, segment_of

LAST_EVENTS = 20  # events shown in a profile
CATEGORIES = 10

Value = TypeVar("Value")


def valid(do: Callable[[], Value], where: str = "") -> Value:
    """Call a function, and report its LongInterestError as an invalid value of the request.

    Args:
        do: the function.
        where: location of the value in the request.

    Raises:
        Problem: if the function raises a LongInterestError.
    """
    try:
        return do()
    except LongInterestError as error:
        raise invalid(where, str(error)) from error


def items_of(found: Sequence[Recommended | Suggested]) -> schemas.Items:
    """Convert items to an answer."""
    return schemas.Items(items=[schemas.Item(item=each.item, title=each.title, score=each.score) for each in found])


def recommendations_of(found: Recommendation, fingerprint: str) -> schemas.Recommendations:
    """Convert recommendations to an answer.

    Args:
        found: recommendations for one user.
        fingerprint: fingerprint of the model.
    """
    items = [
        schemas.RecommendedItem(item=each.item, title=each.title, score=each.score, strategy=found.basis)
        for each in found.items
    ]
    return schemas.Recommendations(
        items=items,
        basis=found.basis,
        segment=segment_of(found.events),
        events=found.events,
        unknown=len(found.unknown),
        problem=found.problem,
        model=fingerprint,
    )


def by_history(
    model: Recommender, events: Sequence[Event], wish: Wish, at: float, user: dict[str, Any] | None = None
) -> Recommendation:
    """Recommend for a history by the model only, without strategies.

    Args:
        model: the model.
        events: events of one user.
        wish: the requested options.
        at: time of the request, in seconds since 1970.
        user: values of the user's features.

    Raises:
        Problem: for values that cannot be used.
    """
    users = None if user is None else [user]
    how = (wish.k, wish.exclude_seen, wish.candidates)
    now = clock(model, at)
    return valid(lambda: model.recommend_many([events], *how, users=users, exclude=wish.exclude, at=now))[0]


def answer_of(found: Answer, visitor: Visitor, basis: str, unknown: int, fingerprint: str) -> schemas.Recommendations:
    """Convert the items of a shop to an answer.

    Args:
        found: the shop's answer.
        visitor: the visitor.
        basis: basis of the answer; ``popularity`` is also used as the strategy of its items.
        unknown: number of events on items that the model does not know.
        fingerprint: fingerprint of the model.
    """
    items = [
        schemas.RecommendedItem(
            item=each.item,
            title=each.title,
            score=each.score,
            strategy=basis if basis == POPULARITY else each.strategy,
        )
        for each in found.items
    ]
    return schemas.Recommendations(
        items=items,
        basis=basis,
        segment=found.segment,
        events=visitor.events,
        unknown=unknown,
        problem=found.problem,
        model=fingerprint,
    )


def explanation_of(model: Recommender, history: History, item: int, method: str) -> schemas.Explanation:
    """Explain the score of an item.

    Args:
        model: the model.
        history: a history with at least one event.
        item: internal id.
        method: one of :data:`~recbole_longinterest.serving.explain.methods.METHODS`.

    Raises:
        Problem: for a method that cannot be used.
    """
    why = valid(lambda: explain_history(model, history, item, method))
    one = model.recommended(item, score_of(model, history, item))
    shares = [
        schemas.EventShare(**{name: getattr(each, name) for name in schemas.EventShare.model_fields})
        for each in why.events
    ]
    return schemas.Explanation(
        item=one.item, title=one.title, score=one.score, method=method, events=shares, sources=why.sources
    )


def profile_of(model: Recommender, user: str, stored: Sequence[StoredEvent], history: History) -> schemas.Profile:
    """Return the data that the service stores about a user.

    Args:
        model: the model.
        user: id of the user.
        stored: all events of the user.
        history: the part of them that the model reads.
    """
    categories: list[schemas.Category] = []
    if len(history):
        found = category_profile_of(model, model.interest([history]))
        values = found.values[-1].tolist()
        categories = [schemas.Category(name=found.names[i], score=values[i]) for i in found.leading(CATEGORIES)]
    newest = sorted(stored, key=lambda event: event.time)[-LAST_EVENTS:]
    return schemas.Profile(
        user=user,
        events=len(stored),
        known=len(history),
        last=[_newest(model, event) for event in reversed(newest)],
        categories=categories,
        model=model.fingerprint,
    )


def _newest(model: Recommender, event: StoredEvent) -> schemas.NewestEvent:
    number, titles = model.item_id(event.item), model.served.items.titles
    return schemas.NewestEvent(
        item=event.item,
        title=titles[number] if number else "",
        rating=event.rating,
        behavior=event.behavior,
        time=event.time,
        date=model.reader.times.date_of(event.time) if math.isfinite(event.time) else "",
    )
