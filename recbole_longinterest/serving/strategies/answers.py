"""Answers of a shop: items with their strategies."""

from dataclasses import asdict, dataclass
from typing import Any

NOTHING = "no item is left that may be shown"  # a problem


@dataclass(frozen=True)
class Suggested:
    """One item of an answer.

    Attributes:
        item: raw token.
        title: "" if the item has no title.
        score: score of the strategy, including boosts; scores of different strategies are not comparable.
        strategy: strategy that chose the item.
    """

    item: str
    title: str
    score: float
    strategy: str


@dataclass(frozen=True)
class Answer:
    """Items for one visitor.

    Attributes:
        items: the items, in display order.
        segment: segment of the visitor, for feedback.
        problem: why there are no items; None if there are items.
    """

    items: list[Suggested]
    segment: str
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain data, for JSON."""
        return asdict(self)

    @property
    def brought_by(self) -> dict[str, int]:
        """Number of items by strategy."""
        names = [item.strategy for item in self.items]
        return {name: names.count(name) for name in dict.fromkeys(names)}
