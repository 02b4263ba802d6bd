"""The strategy ``popular``: items with many recent events, with preference for the visitor's categories."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.candidates import NO_IDS, Dense, Ranking
from recbole_longinterest.serving.scorer import Scorer
from recbole_longinterest.serving.strategies.base import Context, Strategy
from recbole_longinterest.serving.visitor import Visitor

LAST = 50  # number of last events that determine a visitor's categories
ELSEWHERE = 0.2  # weight of an item outside the visitor's categories


class Popular(Strategy):
    """Ranks items by recent events, weighted by the share of the visitor's last events in their categories.

    Args:
        scorer: the model.
        counts: recent events by internal id, [N]; None for those of the training.
    """

    def __init__(self, scorer: Scorer, counts: Sequence[float] | None = None) -> None:
        self._scorer = scorer
        self._members, self._grouped = self._items_by_category(), len(scorer.served.items.tokens)
        self.set_counts(scorer.served.items.recent if counts is None else counts)

    @classmethod
    def make(cls, context: Context) -> "Popular":
        """See :meth:`Strategy.make`."""
        if context.scorer.served.items.recent is None:
            raise LongInterestError("The strategy popular needs counts of recent events. Export the checkpoint again.")
        return cls(context.scorer)

    def set_counts(self, counts: Sequence[float] | None) -> None:
        """Replace the counts, for example by those of the last hours.

        Args:
            counts: counts by internal id, [N]; missing values at the end are 0.
        """
        given = np.asarray(counts if counts is not None else [], dtype=np.float32)
        self._counts = np.zeros(len(self._scorer.served.items.tokens), dtype=np.float32)
        self._counts[: len(given)] = given[: len(self._counts)]
        if self._grouped != len(self._counts):
            self._members, self._grouped = self._items_by_category(), len(self._counts)

    def ranking(self, visitor: Visitor, rng: np.random.Generator) -> Ranking:
        """See :meth:`Strategy.ranking`; for a visitor without events only the counts are used."""
        categories = self._scorer.served.items.categories
        last = visitor.last_items(LAST).tolist()
        names = [name for item in last for name in categories[item]]
        number = len(self._scorer.served.items.tokens)
        if number != len(self._counts):  # items were added
            self.set_counts(self._counts.tolist())
        if not names:
            return Dense(self._counts, logits=False)
        weight = np.zeros(number, dtype=np.float32)
        for name in set(names):
            members = self._members.get(name, NO_IDS)
            weight[members] = np.maximum(weight[members], names.count(name) / len(last))
        shares = ELSEWHERE + (1 - ELSEWHERE) * weight.clip(max=1)
        return Dense((self._counts * shares).astype(np.float32), logits=False)

    def _items_by_category(self) -> dict[str, NDArray[np.int64]]:
        members: dict[str, list[int]] = {}
        for item, names in enumerate(self._scorer.served.items.categories):
            for name in names:
                members.setdefault(name, []).append(item)
        return {name: np.array(items) for name, items in members.items()}
