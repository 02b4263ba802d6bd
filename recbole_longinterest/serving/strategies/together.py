"""The strategy ``together``: items that often followed the last items in other histories."""

import numpy as np

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.candidates import Ranking, Sparse
from recbole_longinterest.serving.strategies.base import LAST, Context, Strategy, weights_of_last
from recbole_longinterest.serving.strategies.transitions import Followers
from recbole_longinterest.serving.visitor import Visitor


class Together(Strategy):
    """Ranks items by how often they followed the last items; newer items have a higher weight."""

    def __init__(self, followers: Followers) -> None:
        self._followers = followers

    @classmethod
    def make(cls, context: Context) -> "Together":
        """See :meth:`Strategy.make`."""
        if context.followers is None:
            raise LongInterestError(
                "The strategy together needs a model with a memory of transitions, which this model lacks. Train and "
                "export one with memory: on (the default), or use another strategy. In Python, Shop also takes counts "
                "of your own: Shop(..., followers=)."
            )
        return cls(context.followers)

    def ranking(self, visitor: Visitor, rng: np.random.Generator) -> Ranking | None:
        """See :meth:`Strategy.ranking`; None if no item followed the last items."""
        last = visitor.last_items(LAST)
        if not len(last):
            return None
        rows = [self._followers.followers(item) for item in last.tolist()]
        weights = weights_of_last(len(last))
        found = np.concatenate([ids for ids, _ in rows])
        if not len(found):
            return None
        amounts = np.concatenate([w * amounts for w, (_, amounts) in zip(weights, rows, strict=True)])
        ids, place = np.unique(found, return_inverse=True)
        return Sparse(ids, np.bincount(place, amounts, len(ids)).astype(np.float32), logits=False)
