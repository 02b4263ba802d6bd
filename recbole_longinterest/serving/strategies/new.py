"""The strategy ``new``: items that the training had no events of, each with a chance to be seen."""

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
    """New items, drawn without replacement with the odds that the model gives them.

    Gumbel noise on the scores draws so (Kool et al. 2019). A visitor without events gets them with equal odds. An item
    without a text that the model never saw has no vector to speak of, and equal odds with its like.

    Args:
        search: of the model's items.
        items: internal ids of the new ones; those that the training did not see if None.
        temperature: above 0; the larger, the less the model's scores count.
    """

    def __init__(
        self, search: VectorSearch, items: Collection[int] | None = None, temperature: float = TEMPERATURE
    ) -> None:
        self._search, self._temperature = search, temperature
        self._given = None if items is None else np.fromiter(items, np.int64, len(items))
        self._items: tuple[Tensor | None, Ids] = (None, np.zeros(0, dtype=np.int64))

    @classmethod
    def make(cls, context: Context) -> "New":
        """See :meth:`Strategy.make`; a model all of whose items are trained has no new ones until some are added."""
        return cls(context.search)

    def ranking(self, visitor: Visitor, rng: np.random.Generator) -> Ranking | None:
        """See :meth:`Strategy.ranking`; None while there are no new items."""
        ids = self._new()
        if not len(ids):
            return None
        noise = rng.gumbel(size=len(ids)).astype(np.float32)
        if visitor.interest is None:
            return Sparse(ids, noise, logits=True)
        scores = self._search.products(visitor.interest, ids)
        return Sparse(ids, scores / self._temperature + noise, logits=True)

    def _new(self) -> Ids:
        """The new items; looked up again after items were added."""
        scorer = self._search.scorer
        if self._given is not None:
            return self._given
        if self._items[0] is not scorer.items:
            self._items = scorer.items, untrained(scorer)
        return self._items[1]


def untrained(scorer: Scorer) -> Ids:
    """Internal ids of the items that the training had no events of."""
    trained = scorer.served.weights.get(TRAINED)
    if trained is None:
        return np.zeros(0, dtype=np.int64)
    ids = np.flatnonzero(~trained.bool().numpy())
    return ids[ids > 0]
