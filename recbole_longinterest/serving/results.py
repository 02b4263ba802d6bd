"""Result types (recommendations, explanations) and their messages."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from logging import getLogger
from typing import TYPE_CHECKING, Any

import numpy as np

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.html_tables import table_of
from recbole_longinterest.common.printable import printable

if TYPE_CHECKING:
    import pandas as pd  # at run time imported only to build a table

INTEREST, POPULARITY = "interest", "popularity"
EMPTY = "its history is empty"
NONE_KNOWN = "the model knows none of its items"


@dataclass(frozen=True)
class EventShare:
    """One event's share of a recommendation.

    Attributes:
        item: raw token.
        title: "" if the item has no title.
        share: the event's share of the score; the absolute shares of all events sum to 1. Negative if the event lowers
            the score.
        attention: attention weight of the event, 0 to 1; 0 for a model without attention.
        time: in the training's unit; None if missing.
        date: the time as an ISO date; "" if it is missing or cannot be converted.
        behavior: the training's behaviour name; None if missing.
        followed: number of times that the recommended item came within 10 events after this event's item in the
            training data; 0 if never, if the item has more frequent followers, or beyond the last 10 events.
    """

    item: str
    title: str
    share: float
    attention: float
    time: float | None = None
    date: str = ""
    behavior: str | None = None
    followed: int = 0

    @property
    def when_and_how(self) -> str:
        """Date and behaviour as text; "" if neither is known."""
        return ", ".join(filter(None, (self.date, self.behavior or "")))


@dataclass(frozen=True)
class Explanation:
    """Explanation of a recommended item.

    Attributes:
        method: method of the shares: ``"removal"``, ``"gradients"`` or ``"attention"``.
        events: the events that the model reads, in order.
        sources: shares of the model's sources, such as ``id``, ``text``, ``rating``, ``behavior`` and ``time``, by
            removal or by gradients; and of ``transitions``, the memory of items that followed the last items.
    """

    method: str
    events: list[EventShare]
    sources: dict[str, float]

    def leading(self, number: int) -> list[EventShare]:
        """Return the events that raise the score most, highest first."""
        return sorted(self.events, key=lambda event: -event.share)[:number]

    def against(self, number: int) -> list[EventShare]:
        """Return the events that lower the score most, lowest first."""
        return sorted((event for event in self.events if event.share < 0), key=lambda event: event.share)[:number]

    @property
    def sources_said(self) -> str:
        """The sources as text, largest share first; those with negative shares at the end."""
        ranked = sorted(self.sources.items(), key=lambda pair: -abs(pair[1]))
        speaking = ", ".join(f"{name} {share:+.0%}" for name, share in ranked if share >= 0) or "none for the item"
        against = ", ".join(f"{name} {share:+.0%}" for name, share in ranked if share < 0)
        return f"{speaking}; against the item: {against}" if against else speaking


@dataclass(frozen=True)
class Recommended:
    """One item of a recommendation.

    Attributes:
        item: raw token.
        title: "" if the item has no title.
        score: score as in ``full_sort_predict``; for popular items the number of recent events.
        why: the explanation, if requested.
    """

    item: str
    title: str
    score: float
    why: Explanation | None = None


@dataclass(frozen=True)
class Recommendation:
    """Recommendations for one user.

    Attributes:
        items: the items, best first.
        events: number of events read.
        unknown: items of the history that the model does not know; they were skipped.
        problem: why there are no items; None if there are items.
        basis: ``"interest"`` for scores of the model; ``"popularity"`` if the model knows no event of the user, so the
            items are those with the most recent events in the training data.
    """

    items: list[Recommended]
    events: int
    unknown: list[str] = field(default_factory=list)
    problem: str | None = None
    basis: str = INTEREST

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain data, for JSON."""
        return asdict(self)

    def to_frame(self) -> "pd.DataFrame":
        """Convert the items to a table: ``rank`` from 1, ``item``, ``title``, ``score``, ``basis``."""
        import pandas as pd  # late: not needed for serving without tables

        rows = [(n, item.item, item.title, item.score, self.basis) for n, item in enumerate(self.items, start=1)]
        return pd.DataFrame(rows, columns=["rank", "item", "title", "score", "basis"])

    def _repr_html_(self) -> str:
        """Render a table for notebooks."""
        said = f"by {self.basis}, {self.events:,} events read"
        if self.unknown:
            said += f", {len(self.unknown):,} unknown items skipped"
        if self.problem:
            said += f"; nothing to recommend: {self.problem}"
        rows = [(rank, item.item, item.title, item.score) for rank, item in enumerate(self.items, start=1)]
        return table_of(said, ("", "item", "title", "score"), rows)


ALL_SEEN = "every item that may be recommended is in its history"  # a problem
EXCLUDED = f"{ALL_SEEN} or excluded"
NO_COUNTS = "this export has no counts of recent events to recommend popular items by; export it again"


def check_k(k: int) -> None:
    """Check the number of items to recommend.

    Raises:
        LongInterestError: if ``k`` is not a whole number of at least 1.
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise LongInterestError(f"k must be a whole number of at least 1; got {k!r}.")


def report_skipped(found: Mapping[Any, Recommendation]) -> None:
    """Log the skipped items, and the users without recommendations."""
    unknown = sorted({token for recommendation in found.values() for token in recommendation.unknown})
    if unknown:
        getLogger().warning(f"{len(unknown)} items are unknown to the model and skipped: {shortened(unknown)}")
    for user, recommendation in found.items():
        if recommendation.problem:
            getLogger().warning(f"user {printable(user)} gets nothing: {recommendation.problem}.")
        elif recommendation.basis == POPULARITY:
            why = NONE_KNOWN if recommendation.unknown else EMPTY
            getLogger().warning(f"user {printable(user)} gets popular items: {why}.")


def frame_of(
    found: "Mapping[Any, Recommendation] | Sequence[Recommendation]", user: str = "user", item: str = "item"
) -> "pd.DataFrame":
    """Combine recommendations in a table: user, ``rank`` from 1, item, ``title``, ``score``, ``basis``.

    Args:
        found: recommendations by user, or a list whose indices become the users.
        user: name of the user column.
        item: name of the item column.
    """
    import pandas as pd  # late: see Recommendation.to_frame

    by_user = found if isinstance(found, Mapping) else dict(enumerate(found))
    rows = [
        (name, rank, each.item, each.title, each.score, recommendation.basis)
        for name, recommendation in by_user.items()
        for rank, each in enumerate(recommendation.items, start=1)
    ]
    return pd.DataFrame(rows, columns=[user, "rank", item, "title", "score", "basis"])


def shortened(words: Sequence[str], most: int = 5) -> str:
    """Join the first few words, and add the number of further ones."""
    return ", ".join(map(printable, words[:most])) + (f" and {len(words) - most} more" if len(words) > most else "")
