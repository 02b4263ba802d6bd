"""Interface of strategies; ``tests/serving/strategies/test_registry.py`` tests every registered strategy."""

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
"""Additional terms of a visitor's scores: distinct internal ids, and the terms added to their dot products."""
LAST = 5  # number of last events that strategies such as similar use
DECAY = 0.7  # weight of an event relative to the next one


@dataclass(frozen=True)
class Context:
    """Resources for strategies.

    Attributes:
        scorer: the model.
        search: vector search of its items, with or without an index.
        followers: table of which items follow which; None if not available.
        terms: additional score terms of a memory of transitions; None for a model without a memory.
    """

    scorer: Scorer
    search: VectorSearch
    followers: Followers | None = None
    terms: Terms | None = None


class Strategy(ABC):
    """Ranks the items for a visitor.

    A strategy ignores rules and seen items; the caller excludes items.
    """

    @classmethod
    @abstractmethod
    def make(cls, context: Context) -> "Strategy":
        """Create the strategy for a model.

        Raises:
            LongInterestError: if a requirement of the strategy is missing; the message says which.
        """

    @abstractmethod
    def ranking(self, visitor: Visitor, rng: np.random.Generator) -> Ranking | None:
        """Return the ranking for a visitor; None if the strategy cannot rank items for this visitor.

        Args:
            visitor: the visitor.
            rng: random generator, for strategies that explore.
        """


def weights_of_last(number: int) -> NDArray[np.float32]:
    """Return the weights of the last events, newest first; they sum to 1, [number]."""
    weights = DECAY ** np.arange(number, dtype=np.float32)
    return weights / weights.sum()
