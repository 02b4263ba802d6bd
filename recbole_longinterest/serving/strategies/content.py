"""The strategy ``content``: items with texts similar to those of the last items."""

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.state_keys import TEXT, item_key
from recbole_longinterest.serving.candidates import Ranking
from recbole_longinterest.serving.scorer import Scorer
from recbole_longinterest.serving.strategies.base import LAST, Context, Strategy
from recbole_longinterest.serving.strategies.similar import near
from recbole_longinterest.serving.unit_vectors import UnitVectors
from recbole_longinterest.serving.visitor import Visitor

KEY = item_key(TEXT, "vectors")


class Content(Strategy):
    """Ranks items by cosine of their whitened text vectors; items without a text are similar to no item."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._of, self._units = scorer.items, UnitVectors(scorer.served.weights[KEY])

    @classmethod
    def make(cls, context: Context) -> "Content":
        """See :meth:`Strategy.make`."""
        if KEY not in context.scorer.served.weights:
            raise LongInterestError("The strategy content needs a model that reads texts (text_features).")
        return cls(context.scorer)

    def ranking(self, visitor: Visitor, rng: np.random.Generator) -> Ranking | None:
        """See :meth:`Strategy.ranking`; None before the first event on an item with a text."""
        return self.to_items(visitor.last_items(LAST))

    def to_items(self, items: NDArray[np.int64]) -> Ranking | None:
        """Rank items by the similarity of their texts to some items, the first with the highest weight.

        See :meth:`Similar.to_items`.
        """
        if self._of is not self._scorer.items:
            self._units, self._of = UnitVectors(self._scorer.served.weights[KEY]), self._scorer.items
        return near(self._units, items) if len(items) else None
