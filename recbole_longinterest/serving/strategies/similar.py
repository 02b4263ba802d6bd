"""The strategy ``similar``: items with vectors similar to those of the last items."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from recbole_longinterest.serving.candidates import Dense, Ranking
from recbole_longinterest.serving.scorer import Scorer
from recbole_longinterest.serving.strategies.base import LAST, Context, Strategy, weights_of_last
from recbole_longinterest.serving.unit_vectors import UnitVectors
from recbole_longinterest.serving.visitor import Visitor


def near(units: UnitVectors, items: NDArray[np.int64]) -> Dense | None:
    """Rank all items by cosine with the weighted mean direction of the given items.

    Args:
        units: vectors of all items.
        items: internal ids, highest weight first.

    Returns:
        The ranking; None if all vectors of the items are zero.
    """
    directions = functional.normalize(units.vectors[torch.from_numpy(items.copy())], dim=1)
    query = torch.from_numpy(weights_of_last(len(items))) @ directions
    if not len(items) or not float(query.norm()):
        return None
    return Dense(units.cosines(query).numpy(), logits=False)


class Similar(Strategy):
    """Ranks items by cosine of their vectors, which combine user behaviour and, with text features, item texts.

    Every item is compared, because the index ranks by dot product, not by cosine.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._of, self._units = scorer.items, UnitVectors(scorer.items)

    @classmethod
    def make(cls, context: Context) -> "Similar":
        """See :meth:`Strategy.make`."""
        return cls(context.scorer)

    def ranking(self, visitor: Visitor, rng: np.random.Generator) -> Ranking | None:
        """See :meth:`Strategy.ranking`; None before the first event."""
        return self.to_items(visitor.last_items(LAST))

    def to_items(self, items: NDArray[np.int64]) -> Ranking | None:
        """Rank items by similarity to some items.

        Args:
            items: internal ids, highest weight first.
        """
        if self._of is not self._scorer.items:  # items were added
            self._units, self._of = UnitVectors(self._scorer.items), self._scorer.items
        return near(self._units, items) if len(items) else None
