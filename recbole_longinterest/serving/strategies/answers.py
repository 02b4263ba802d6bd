"""What a shop answers: items, each with the strategy that brought it."""

from dataclasses import asdict, dataclass
from typing import Any

NOTHING = "no item that may be shown is left"  # a problem


@dataclass(frozen=True)
class Suggested:
    """One item of an answer.

    Attributes:
        item: raw token.
        title: "" if the item has no title.
        score: by the strategy, with the factors of the rules; scores of two strategies do not compare.
        strategy: that brought it.
    """

    item: str
    title: str
    score: float
    strategy: str


@dataclass(frozen=True)
class Answer:
    """Items for one visitor.

    Attributes:
        items: in the order in which they are to be shown.
        segment: of the visitor, for feedback.
        problem: why there are no items; None if there are items.
    """

    items: list[Suggested]
    segment: str
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data, for JSON."""
        return asdict(self)

    @property
    def brought_by(self) -> dict[str, int]:
        """Number of items by strategy."""
        names = [item.strategy for item in self.items]
        return {name: names.count(name) for name in dict.fromkeys(names)}
