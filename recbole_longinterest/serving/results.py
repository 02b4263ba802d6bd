"""Types of the results (recommendations, explanations), and the messages about them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from logging import getLogger
from typing import Any

import numpy as np

from recbole_longinterest.common.errors import LongInterestError

NONE_KNOWN = "not one of its items is known to the model"


@dataclass(frozen=True)
class EventShare:
    """One event's part in a recommendation.

    Attributes:
        item: raw token.
        title: "" if the item has no title.
        share: the event's part in the score; the absolute shares of all events sum to 1. Negative if the event
            lowers the score.
        attention: weight that the model's attention gives the event, 0 to 1; 0 for a model without attention.
    """

    item: str
    title: str
    share: float
    attention: float


@dataclass(frozen=True)
class Explanation:
    """Why an item was recommended.

    Attributes:
        method: that made the shares: ``"removal"``, ``"gradients"`` or ``"attention"``.
        events: the events that the model reads, in their order.
        sources: shares of ``id``, ``text``, ``rating``, ``behavior``, ``time``, those that the model reads:
            by how much the score falls without the source, or by gradients.
    """

    method: str
    events: list[EventShare]
    sources: dict[str, float]

    def leading(self, number: int) -> list[EventShare]:
        """The events that raise the score most, highest first."""
        return sorted(self.events, key=lambda event: -event.share)[:number]


@dataclass(frozen=True)
class Recommended:
    """One item of a recommendation.

    Attributes:
        item: raw token.
        title: "" if the item has no title.
        score: as ``full_sort_predict`` gives it.
        why: the explanation, if one was asked for.
    """

    item: str
    title: str
    score: float
    why: Explanation | None = None


@dataclass(frozen=True)
class Recommendation:
    """Recommendations for one user.

    Attributes:
        items: best first.
        events: number of events read.
        unknown: items of the history that the model does not know; they were skipped.
        problem: why there are no items; None if there are items.
    """

    items: list[Recommended]
    events: int
    unknown: list[str] = field(default_factory=list)
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The recommendation as plain data, for JSON."""
        return asdict(self)


ALL_SEEN = "every item that may be recommended is in its history"  # a problem


def check_k(k: int) -> None:
    """Check the number of items to recommend.

    Raises:
        LongInterestError: if ``k`` is not a whole number of at least 1.
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise LongInterestError(f"k must be a whole number of at least 1; got {k!r}.")


def report_skipped(found: Mapping[Any, Recommendation]) -> None:
    """Log the items that were skipped and the users without recommendations."""
    unknown = sorted({token for recommendation in found.values() for token in recommendation.unknown})
    if unknown:
        getLogger().warning(f"{len(unknown)} items are unknown to the model and skipped: {shortened(unknown)}")
    for user, recommendation in found.items():
        if recommendation.problem:
            getLogger().warning(f"user {user} gets nothing: {recommendation.problem}.")


def shortened(words: Sequence[str], most: int = 5) -> str:
    """The first few of some words."""
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")
