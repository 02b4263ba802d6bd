"""The strategy ``new``: items without training events, each with a chance to be shown."""

from collections.abc import Collection

import numpy as np
from torch import Tensor

from recbole_longinterest.nn.state_keys import TRAINED
from recbole_longinterest.serving.candidates import Ids, Ranking, Sparse
from recbole_longinterest.serving.index.search import VectorSearch
from recbole_longinterest.serving.scorer import Scorer
from recbole_longinterest.serving.strategies.base import Context, Strategy
from recbole_longinterest.serving.visitor import Visitor

TEMPERATURE = 1.0


class New(Strategy):
    """Samples new items without replacement, with probabilities from the model's scores.

    This is done by adding Gumbel noise to the scores (Kool et al. 2019). For a visitor without events, all new items
    are equally likely. Untrained items without a text have no meaningful vector, and are equally likely among
    themselves.

    Args:
        search: vector search of the model's items.
        items: internal ids of the new items; None for all items without training events.
        temperature: above 0; with larger values the model's scores matter less.
    """

    def __init__(
        self, search: VectorSearch, items: Collection[int] | None = None, temperature: float = TEMPERATURE
    ) -> None:
        self._search, self._temperature = search, temperature
        self._given = None if items is None else np.fromiter(items, np.int64, len(items))
        self._items: tuple[Tensor | None, Ids] = (None, np.zeros(0, dtype=np.int64))

    @classmethod
    def make(cls, context: Context) -> "New":
        """See :meth:`Strategy.make`."""
        return cls(context.search)

    def ranking(self, visitor: Visitor, rng: np.random.Generator) -> Ranking | None:
        """See :meth:`Strategy.ranking`; None if there are no new items."""
        ids = self._new()
        if not len(ids):
            return None
        noise = rng.gumbel(size=len(ids)).astype(np.float32)
        if visitor.interest is None:
            return Sparse(ids, noise, logits=True)
        scores = self._search.products(visitor.interest, ids)
        return Sparse(ids, scores / self._temperature + noise, logits=True)

    def _new(self) -> Ids:
        """Return the new items; updated after items were added."""
        scorer = self._search.scorer
        if self._given is not None:
            return self._given
        if self._items[0] is not scorer.items:
            self._items = scorer.items, untrained(scorer)
        return self._items[1]


def untrained(scorer: Scorer) -> Ids:
    """Return the internal ids of items without training events."""
    trained = scorer.served.weights.get(TRAINED)
    if trained is None:
        return np.zeros(0, dtype=np.int64)
    ids = np.flatnonzero(~trained.bool().numpy())
    return ids[ids > 0]
