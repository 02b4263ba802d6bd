"""Types of the results (recommendations, explanations), and the messages about them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from logging import getLogger
from typing import TYPE_CHECKING, Any

import numpy as np

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.html_tables import table_of
from recbole_longinterest.common.printable import printable

if TYPE_CHECKING:
    import pandas as pd  # at run time only where a table is made

INTEREST, POPULARITY = "interest", "popularity"
EMPTY = "its history is empty"
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
        time: in the training's unit; None if missing.
        date: of the time, as ISO; "" if it is missing or does not say a date.
        behavior: the training's name of it; None if missing.
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
        """Date and behaviour, for people; "" if neither is known."""
        return ", ".join(filter(None, (self.date, self.behavior or "")))


@dataclass(frozen=True)
class Explanation:
    """Why an item was recommended.

    Attributes:
        method: that made the shares: ``"removal"``, ``"gradients"`` or ``"attention"``.
        events: the events that the model reads, in their order.
        sources: shares of ``id``, ``text``, ``rating``, ``behavior``, ``time``, those that the model reads,
            by how much the score falls without the source, or by gradients; and of ``transitions``, the memory of what
            followed the last items.
    """

    method: str
    events: list[EventShare]
    sources: dict[str, float]

    def leading(self, number: int) -> list[EventShare]:
        """The events that raise the score most, highest first."""
        return sorted(self.events, key=lambda event: -event.share)[:number]

    def against(self, number: int) -> list[EventShare]:
        """The events that lower the score most, lowest first."""
        return sorted((event for event in self.events if event.share < 0), key=lambda event: event.share)[:number]

    @property
    def sources_said(self) -> str:
        """The sources, largest share first; those that speak against the item after the others."""
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
        score: as ``full_sort_predict`` gives it; by popularity the number of recent events.
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
        basis: ``"interest"``: scores of the model. ``"popularity"``: the model knows no event of the user, so the items
            are those that training showed most often of late.
    """

    items: list[Recommended]
    events: int
    unknown: list[str] = field(default_factory=list)
    problem: str | None = None
    basis: str = INTEREST

    def to_dict(self) -> dict[str, Any]:
        """The recommendation as plain data, for JSON."""
        return asdict(self)

    def to_frame(self) -> "pd.DataFrame":
        """The items as a table: ``rank`` from 1, ``item``, ``title``, ``score``, ``basis``."""
        import pandas as pd  # late: serving without tables starts faster, and does not need it

        rows = [(n, item.item, item.title, item.score, self.basis) for n, item in enumerate(self.items, start=1)]
        return pd.DataFrame(rows, columns=["rank", "item", "title", "score", "basis"])

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        said = f"by {self.basis}, {self.events:,} events read"
        if self.unknown:
            said += f", {len(self.unknown):,} unknown items skipped"
        if self.problem:
            said += f"; nothing to recommend: {self.problem}"
        rows = [(rank, item.item, item.title, item.score) for rank, item in enumerate(self.items, start=1)]
        return table_of(said, ("", "item", "title", "score"), rows)


ALL_SEEN = "every item that may be recommended is in its history"  # a problem
EXCLUDED = f"{ALL_SEEN} or excluded"
NO_COUNTS = "this export holds no counts of recent events, by which it would be recommended to; export it again"


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
            getLogger().warning(f"user {printable(user)} gets nothing: {recommendation.problem}.")
        elif recommendation.basis == POPULARITY:
            why = NONE_KNOWN if recommendation.unknown else EMPTY
            getLogger().warning(f"user {printable(user)} gets what is popular: {why}.")


def frame_of(
    found: "Mapping[Any, Recommendation] | Sequence[Recommendation]", user: str = "user", item: str = "item"
) -> "pd.DataFrame":
    """Recommendations to several users as one table: user, ``rank`` from 1, item, ``title``, ``score``, ``basis``.

    Args:
        found: by user, or in a list, whose places are the users.
        user: name of the column of users.
        item: name of the column of items.
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
    """The first few of some words."""
    return ", ".join(map(printable, words[:most])) + (f" and {len(words) - most} more" if len(words) > most else "")
