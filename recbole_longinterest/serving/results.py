"""What a recommendation is, and how it is spoken of."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from logging import getLogger
from typing import TYPE_CHECKING, Any

import numpy as np

from recbole_longinterest.common.errors import LongInterestError

if TYPE_CHECKING:
    from recbole_longinterest.serving.explain.methods import Explanation

NONE_KNOWN = "not one of its items is known to the model"


@dataclass(frozen=True)
class Recommended:
    """One item of a recommendation.

    Attributes:
        item: raw token.
        title: "" for none.
        score: as ``full_sort_predict`` gives it.
        why: what brought it about, if asked for.
    """

    item: str
    title: str
    score: float
    why: "Explanation | None" = None


@dataclass(frozen=True)
class Recommendation:
    """What one user gets.

    Attributes:
        items: best first.
        events: events that were read.
        unknown: items of the history that the model does not know and that were skipped.
        problem: why there are no items, None if there are.
    """

    items: list[Recommended]
    events: int
    unknown: list[str] = field(default_factory=list)
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return asdict(self)


ALL_SEEN = "every item that may be recommended is in its history"  # a problem


def check_k(k: int) -> None:
    """Refuse a number of items that is none.

    Raises:
        ValueError: if it is no whole number of at least 1.
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise LongInterestError(f"k must be a whole number of at least 1; got {k!r}.")


def report_skipped(found: Mapping[Any, Recommendation]) -> None:
    """Log the items that were skipped and the users that get nothing."""
    unknown = sorted({token for recommendation in found.values() for token in recommendation.unknown})
    if unknown:
        getLogger().warning(f"{len(unknown)} items are unknown to the model and skipped: {shortened(unknown)}")
    for user, recommendation in found.items():
        if recommendation.problem:
            getLogger().warning(f"user {user} gets nothing: {recommendation.problem}.")


def shortened(words: Sequence[str], most: int = 5) -> str:
    """The first few of some words."""
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")
