"""Which items follow which: counts of pairs in histories."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.candidates import Ids, Scores

WINDOW, MOST = 3, 200
DISCOUNT = 1.0  # taken off each row's sum: a pair that was seen once says little


class Followers(Protocol):
    """What the strategy ``together`` asks: a table of transitions, whoever counted them."""

    def followers(self, item: int) -> tuple[Ids, Scores]:
        """Items that follow one, and with which weights.

        Args:
            item: internal id.

        Returns:
            Internal ids, each once, and weights of at least 0, which sum to 1 at most; empty for an item that nothing
            followed.
        """


class Transitions:
    """Counts of pairs of events in histories: the second item within a few events after the first.

    A pair counts the inverse of its distance. A row is divided by its sum and a discount, so that items with few events
    say less, and keeps the heaviest followers.

    Args:
        starts: followers of item ``i`` are ``ids[starts[i]:starts[i + 1]]``, int64 [N + 1].
        ids: internal ids of the followers.
        weights: of these, float32.
    """

    def __init__(self, starts: NDArray[np.int64], ids: Ids, weights: Scores) -> None:
        self._starts, self._ids, self._weights = starts, ids, weights

    @classmethod
    def from_histories(
        cls, histories: Iterable[NDArray[np.int64]], n_items: int, window: int = WINDOW, most: int = MOST
    ) -> "Transitions":
        """Count the pairs of some histories.

        Args:
            histories: internal ids of the items of each user, oldest first.
            n_items: of the catalogue, the padding among them.
            window: largest distance of a pair in events.
            most: followers that are kept of an item.

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
        begin = np.searchsorted(first, first)  # where the row of each pair begins
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
