"""Rankings of items: the common output of strategies, from which rules choose the best allowed items."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from recbole_longinterest.serving.scorer import top_k

Ids = NDArray[np.int64]
Scores = NDArray[np.float32]
NO_IDS: Ids = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Admission:
    """Which items may be recommended to a visitor, and which are boosted.

    Attributes:
        allowed: mask of the allowed items, [N]; None for all. Shared by all visitors.
        boost: logarithm of each item's boost factor, [N]; None for no boosts. Shared by all visitors.
        hidden: internal ids to hide from this visitor.
        only: internal ids of the only items for this visitor; None for no such limit.
    """

    allowed: NDArray[np.bool_] | None = None
    boost: Scores | None = None
    hidden: Ids = field(default_factory=lambda: NO_IDS)
    only: Ids | None = None

    @cached_property
    def highest_boost(self) -> float:
        """Largest log boost, at least 0."""
        return 0.0 if self.boost is None else max(0.0, float(self.boost.max()))

    @cached_property
    def share(self) -> float:
        """Share of the catalogue that the shared mask allows, above 0."""
        return 1.0 if self.allowed is None else max(int(np.count_nonzero(self.allowed)), 1) / len(self.allowed)

    def admits(self, ids: Ids) -> NDArray[np.bool_]:
        """Return a mask of the items that may be recommended; never the padding."""
        good = ids > 0
        if self.allowed is not None:
            good &= self.allowed[ids]
        if self.only is not None:
            good &= np.isin(ids, self.only)
        return good & ~np.isin(ids, self.hidden) if len(self.hidden) else good

    def few(self, most: int) -> Ids | None:
        """Return all admitted items if the shared mask or ``only`` allows at most ``most``; else None."""
        if self.only is not None and len(self.only) <= most:
            return np.unique(self.only[self.admits(self.only)])
        if self.allowed is not None and self.share * len(self.allowed) <= most:
            ids = np.flatnonzero(self.allowed)
            return ids[self.admits(ids)]
        return None

    def boosted(self, ids: Ids, scores: Scores, logits: bool) -> Scores:
        """Apply the boosts: the log factor is added to logits, amounts are multiplied by the factor."""
        if self.boost is None:
            return scores
        return scores + self.boost[ids] if logits else scores * np.exp(self.boost[ids])


EVERYTHING = Admission()


class Ranking(ABC):
    """The items of a catalogue ranked by scores for one visitor.

    Attributes:
        logits: whether scores are log-odds of any sign; else they are amounts of at least 0, and items with 0 are not
            candidates.
    """

    logits: bool

    @abstractmethod
    def best(self, number: int, admission: Admission = EVERYTHING) -> tuple[Ids, Scores]:
        """Return the best admitted items.

        Args:
            number: number of items, at least 1.
            admission: allowed items and boosts.

        Returns:
            Internal ids and boosted scores, best first; fewer than ``number`` only if no more are admitted.
        """

    def scores_of_all(self, n_items: int) -> Scores:
        """Return a score for every item, ``-inf`` for items that are not candidates, [n_items].

        Args:
            n_items: number of items of the catalogue, including the padding.
        """
        out = np.full(n_items, -np.inf, dtype=np.float32)
        ids, scores = self.best(n_items)
        out[ids] = scores
        return out


class Dense(Ranking):
    """A ranking with a score for every item.

    Args:
        scores: scores by internal id, [N]; ``-inf``, or 0 for amounts, for items that are not candidates.
        logits: see :class:`Ranking`.
    """

    def __init__(self, scores: Scores, logits: bool) -> None:
        self.scores, self.logits = scores, logits

    def best(self, number: int, admission: Admission = EVERYTHING) -> tuple[Ids, Scores]:
        """See :meth:`Ranking.best`."""
        few = admission.few(len(self.scores) // 8)
        if few is not None:
            return Sparse(few, self.scores[few], self.logits).best(number, admission)
        scores = self.scores.copy()
        if admission.boost is not None:
            scores = scores + admission.boost if self.logits else scores * np.exp(admission.boost)
        if not self.logits:
            scores[scores <= 0] = -np.inf
        if admission.allowed is not None:
            scores[~admission.allowed] = -np.inf
        if admission.only is not None:
            rest = np.full_like(scores, -np.inf)
            rest[admission.only] = scores[admission.only]
            scores = rest
        scores[admission.hidden] = -np.inf
        scores[0] = -np.inf
        values, places = top_k(torch.from_numpy(scores).unsqueeze(0), min(number, len(scores)))
        return _ordered(places[0].numpy(), values[0].numpy(), number)


class Sparse(Ranking):
    """A ranking with scores for some items; the others are not candidates.

    Args:
        ids: distinct internal ids, [n].
        scores: their scores, [n].
        logits: see :class:`Ranking`.
    """

    def __init__(self, ids: Ids, scores: Scores, logits: bool) -> None:
        self.ids, self.scores, self.logits = ids, scores, logits

    def best(self, number: int, admission: Admission = EVERYTHING) -> tuple[Ids, Scores]:
        """See :meth:`Ranking.best`."""
        good = admission.admits(self.ids)
        if not self.logits:
            good &= self.scores > 0
        ids = self.ids[good]
        return _ordered(ids, admission.boosted(ids, self.scores[good], self.logits), number)


def _ordered(ids: Ids, scores: Scores, number: int) -> tuple[Ids, Scores]:
    """Return the best items, best first, ties by id; items with score ``-inf`` are left out."""
    good = scores > -np.inf
    ids, scores = ids[good], scores[good]
    if len(ids) > 4 * number:
        part = np.argpartition(-scores, number)[:number]
        ids, scores = ids[part], scores[part]
    order = np.lexsort((ids, -scores))[:number]
    return ids[order], scores[order].astype(np.float32)
