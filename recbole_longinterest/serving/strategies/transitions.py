"""Count which items follow which in histories."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.candidates import Ids, Scores

WINDOW, MOST = 3, 200
DISCOUNT = 1.0  # added to each row's sum, so that rare pairs get less weight


class Followers(Protocol):
    """A table of transitions for the strategy ``together``."""

    def followers(self, item: int) -> tuple[Ids, Scores]:
        """Return the items that follow an item, with weights.

        Args:
            item: internal id.

        Returns:
            Distinct internal ids, and weights of at least 0 with a sum of at most 1; empty for an item without
            followers.
        """


class Transitions:
    """Counts of pairs of events in histories, where the second item is within a few events after the first.

    Each pair counts with the inverse of its distance. Each row is divided by its sum plus a discount, so that items
    with few events get less weight. Only the followers with the highest weights are kept.

    Args:
        starts: followers of item ``i`` are ``ids[starts[i]:starts[i + 1]]``, int64 [N + 1].
        ids: internal ids of the followers.
        weights: weights of the followers, float32.
    """

    def __init__(self, starts: NDArray[np.int64], ids: Ids, weights: Scores) -> None:
        self._starts, self._ids, self._weights = starts, ids, weights

    @classmethod
    def from_histories(
        cls, histories: Iterable[NDArray[np.int64]], n_items: int, window: int = WINDOW, most: int = MOST
    ) -> "Transitions":
        """Count the pairs of the given histories.

        Args:
            histories: internal ids of the items of each user, oldest first.
            n_items: number of items of the catalogue, including the padding.
            window: maximum distance of a pair in events.
            most: maximum number of followers per item.

        Raises:
            LongInterestError: for a window or a number of followers below 1.
        """
        if window < 1 or most < 1:
            raise LongInterestError(f"window and most must be at least 1; got {window} and {most}.")
        parts = [np.asarray(part, dtype=np.int64) for part in histories]
        log = np.concatenate([*parts, np.zeros(0, dtype=np.int64)])
        user = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        pairs, amounts = [], []
        for distance in range(1, min(window, len(log) - 1) + 1):
            first, second = log[:-distance], log[distance:]
            same = (user[:-distance] == user[distance:]) & (first != second)
            pairs.append(first[same] * n_items + second[same])
            amounts.append(np.full(int(same.sum()), 1 / distance))
        keys, place = np.unique(np.concatenate([*pairs, np.zeros(0, dtype=np.int64)]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([*amounts, np.zeros(0)]), len(keys)).astype(np.float64)
        return cls._of_counts(keys // n_items, keys % n_items, counts, n_items, most)

    @classmethod
    def _of_counts(cls, first: Ids, second: Ids, counts: NDArray[np.float64], n_items: int, most: int) -> "Transitions":
        sums = np.bincount(first, counts, n_items) + DISCOUNT
        order = np.lexsort((second, -counts, first))
        first, second, counts = first[order], second[order], counts[order]
        begin = np.searchsorted(first, first)  # start of the row of each pair
        kept = np.arange(len(first)) - begin < most
        first, second, counts = first[kept], second[kept], counts[kept]
        starts = np.searchsorted(first, np.arange(n_items + 1))
        return cls(starts, second, (counts / sums[first]).astype(np.float32))

    def followers(self, item: int) -> tuple[Ids, Scores]:
        """See :meth:`Followers.followers`."""
        if item + 1 >= len(self._starts):  # added after the count
            return self._ids[:0], self._weights[:0]
        row = slice(self._starts[item], self._starts[item + 1])
        return self._ids[row], self._weights[row]
