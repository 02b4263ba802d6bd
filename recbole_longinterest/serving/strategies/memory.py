"""Adapters of the model's memory of transitions for strategies and the index: terms of few items per visitor."""

import numpy as np
import torch

from recbole_longinterest.nn.memory import AGE_DECAY, PRIOR, UNIT, TransitionMemory
from recbole_longinterest.serving.candidates import NO_IDS, Ids, Scores
from recbole_longinterest.serving.scorer import Scorer
from recbole_longinterest.serving.strategies.base import Terms
from recbole_longinterest.serving.strategies.transitions import Followers
from recbole_longinterest.serving.visitor import Visitor


class MemoryFollowers:
    """Followers from a memory of transitions, for the strategy ``together``; includes observed events.

    Args:
        memory: memory of the network.
    """

    def __init__(self, memory: TransitionMemory) -> None:
        memory.fill()
        self._memory = memory

    def followers(self, item: int) -> tuple[Ids, Scores]:
        """See :meth:`Followers.followers`."""
        memory = self._memory
        if item >= len(memory.support):  # added after the table was built
            return NO_IDS, np.zeros(0, dtype=np.float32)
        counts = memory.counts[item].numpy() / (float(memory.support[item]) + PRIOR)
        there = counts > 0
        return memory.followers[item].numpy()[there].astype(np.int64), counts[there].astype(np.float32)


def followers_of(scorer: Scorer) -> Followers | None:
    """Return the followers from a model's memory; None for a model without a memory."""
    memory = scorer.network.memory
    return None if memory is None else MemoryFollowers(memory)


def terms_of(scorer: Scorer) -> Terms | None:
    """Return a function that computes the memory's terms for a visitor, as in :meth:`TransitionMemory.add_to`.

    Returns:
        The function; None for a model without a memory.
    """
    if scorer.network.memory is None:
        return None

    def terms(visitor: Visitor) -> tuple[Ids, Scores]:
        memory = scorer.network.memory  # replaced after items were added
        assert memory is not None
        memory.fill()
        recent = torch.from_numpy(visitor.recent[: scorer.served.history_limit].copy())
        factor = AGE_DECAY ** torch.arange(len(recent)) / (memory.support[recent] + PRIOR)  # [Q]
        shares = (memory.counts[recent] * factor.unsqueeze(1)).flatten().numpy()
        ids, place = np.unique(memory.followers[recent].flatten().numpy(), return_inverse=True)
        added = memory.weight * np.log1p(np.bincount(place, shares, len(ids)) / UNIT)
        known = (ids > 0) & (added > 0)
        return ids[known].astype(np.int64), added[known].astype(np.float32)

    return terms
