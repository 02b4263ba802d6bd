"""Select the items of an answer under limits, with diversity by maximal marginal relevance.

Maximal marginal relevance (Carbonell and Goldstein 1998): the next item has the highest

    (1 - w) relevance - w max over chosen items of cosine

among the best ``pool`` items that the limits still allow. Relevance is the score, scaled to 0 for the worst and 1 for
the best item of the first pool. Items come from one stream per strategy; limits and diversity apply to the whole
answer.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.serving.candidates import Admission, Ranking
from recbole_longinterest.serving.rules.catalogue import Groups
from recbole_longinterest.serving.rules.settings import Diversity

LOOKUP = 32  # items looked up at once in addition to the length of the answer


class Selection:
    """The selected items of one answer.

    Args:
        places: number of items to select.
        limits: (attribute, maximum number of items for each of its values).
        diversity: None to take the best item each time.
        vectors: vectors of all items, [N, D].
    """

    def __init__(
        self, places: int, limits: Sequence[tuple[Groups, int]], diversity: Diversity | None, vectors: Tensor
    ) -> None:
        self.places = places
        self.chosen: list[int] = []
        self.diversity = diversity if diversity is not None and diversity.weight > 0 else None
        self._limits = [(groups, at_most, Counter[int]()) for groups, at_most in limits]
        self._vectors = vectors
        self._units: list[NDArray[np.float32]] = []

    @property
    def full(self) -> bool:
        """Whether all items are selected."""
        return len(self.chosen) >= self.places

    def fits(self, item: int) -> bool:
        """Whether an item is not selected yet and within the limits."""
        return item not in self.chosen and all(
            counts[code] < at_most for groups, at_most, counts in self._limits for code in groups.of_item(item)
        )

    def take(self, item: int) -> None:
        """Select an item."""
        self.chosen.append(item)
        for groups, _, counts in self._limits:
            counts.update(groups.of_item(item))
        if self.diversity is not None:
            self._units.append(self.units([item])[0])

    def blocked(self) -> NDArray[np.bool_] | None:
        """Return a mask of items with a value whose limit is reached, [N]; None without such items."""
        out: NDArray[np.bool_] | None = None
        for groups, at_most, counts in self._limits:
            full = [code for code, count in counts.items() if count >= at_most]
            if full:
                mask = groups.with_codes(np.array(full))
                out = mask if out is None else out | mask
        return out

    def units(self, items: Sequence[int]) -> NDArray[np.float32]:
        """Return the unit vectors of the given items, [n, D]."""
        return torch.nn.functional.normalize(self._vectors[list(items)], dim=1).numpy()

    def likeness(self, units: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the highest cosine of each vector with the selected items; 0 before the first, [n]."""
        if not self._units:
            return np.zeros(len(units), dtype=np.float32)
        return (units @ np.stack(self._units).T).max(axis=1)

    def candidates(self, ranking: Ranking, admission: Admission) -> "Candidates":
        """Return the stream of one strategy's items for this answer."""
        return Candidates(self, ranking, admission)


class Candidates:
    """A stream of one strategy's items for a :class:`Selection`, best first.

    Args:
        selection: the selection of the answer.
        ranking: ranking of the strategy.
        admission: allowed items and boosts for the visitor.
    """

    def __init__(self, selection: Selection, ranking: Ranking, admission: Admission) -> None:
        self._selection = selection
        diversity = selection.diversity
        self._size = 1 if diversity is None else diversity.pool
        self._weight = 0.0 if diversity is None else diversity.weight
        self._ranking, self._admission = ranking, admission
        self._lookup, self._exhausted = selection.places + LOOKUP + self._size, False
        self._given: list[int] = []
        self._pool: list[tuple[int, float]] = []
        self._units: dict[int, NDArray[np.float32]] = {}
        self._scale: tuple[float, float] | None = None

    def take(self) -> tuple[int, float] | None:
        """Select the best item that fits; None if there is no more.

        Returns:
            Internal id and score.
        """
        if not self._weight:
            return self._take_first()
        selection = self._selection
        self._pool = [pair for pair in self._pool if selection.fits(pair[0])]
        if len(self._pool) < self._size and not self._exhausted:
            self._look_up()
        if not self._pool:
            return None
        item, score = self._pool[self._place(self._pool[: self._size])]
        selection.take(item)
        return item, score

    def _take_first(self) -> tuple[int, float] | None:
        """Select the best item, without diversity."""
        while True:
            for place, (item, score) in enumerate(self._pool):
                if self._selection.fits(item):
                    del self._pool[: place + 1]
                    self._selection.take(item)
                    return item, score
            self._pool = []
            if self._exhausted:
                return None
            self._look_up()

    def _look_up(self) -> None:
        """Add the next items to the pool, without those that exceed a limit."""
        admission, blocked = self._admission, self._selection.blocked()
        allowed = admission.allowed
        if blocked is not None:
            allowed = ~blocked if allowed is None else allowed & ~blocked
        hidden = np.concatenate([admission.hidden, np.array([*self._given, *self._selection.chosen], dtype=np.int64)])
        ids, scores = self._ranking.best(self._lookup, replace(admission, allowed=allowed, hidden=hidden))
        self._exhausted = len(ids) < self._lookup
        self._given += ids.tolist()
        self._pool += zip(ids.tolist(), scores.tolist(), strict=True)

    def _place(self, pool: list[tuple[int, float]]) -> int:
        """Return the index in the pool of the next item."""
        scores = np.array([score for _, score in pool])
        if self._scale is None:
            self._scale = float(scores.min()), float(np.ptp(scores)) or 1.0
        low, span = self._scale
        unknown = [item for item, _ in pool if item not in self._units]
        self._units.update(zip(unknown, self._selection.units(unknown), strict=True))
        likeness = self._selection.likeness(np.stack([self._units[item] for item, _ in pool]))
        return int(np.argmax((1 - self._weight) * (scores - low) / span - self._weight * likeness))
