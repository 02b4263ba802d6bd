"""What a strategy has to do. ``tests/serving/strategies/test_registry.py`` tests it for every registered one."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.serving.candidates import Ids, Ranking, Scores
from recbole_longinterest.serving.index.search import VectorSearch
from recbole_longinterest.serving.scorer import Scorer
from recbole_longinterest.serving.strategies.transitions import Followers
from recbole_longinterest.serving.visitor import Visitor

Terms = Callable[[Visitor], tuple[Ids, Scores]]
"""Further terms of a visitor's scores: internal ids, each once, and what is added to their dot products."""
LAST = 5  # events that the strategies of the moment look at
DECAY = 0.7  # weight of an event against the one after it


@dataclass(frozen=True)
class Context:
    """All that strategies may use.

    Attributes:
        scorer: the model.
        search: of its items by interest vectors, through an index or not.
        followers: which items follow which; None if nobody has counted.
        terms: further terms of scores, a memory's; None for a model without.
    """

    scorer: Scorer
    search: VectorSearch
    followers: Followers | None = None
    terms: Terms | None = None


class Strategy(ABC):
    """Ranks the items for a visitor in one way.

    A strategy does not look at rules or at what the visitor has had: the caller leaves items out.
    """

    @classmethod
    @abstractmethod
    def make(cls, context: Context) -> "Strategy":
        """Make the strategy for a model.

        Raises:
            LongInterestError: if the model or the caller lacks what it needs; the message says what.
        """

    @abstractmethod
    def ranking(self, visitor: Visitor, rng: np.random.Generator) -> Ranking | None:
        """The items in this strategy's order; None if it knows nothing of this visitor.

        Args:
            visitor: of the request.
            rng: for strategies that explore.
        """


def weights_of_last(number: int) -> NDArray[np.float32]:
    """Weights of the last events, newest first, which sum to 1, [number]."""
    weights = DECAY ** np.arange(number, dtype=np.float32)
    return weights / weights.sum()
