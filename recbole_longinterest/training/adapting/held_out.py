"""Items held out of an adaptation, and how well their texts alone are found.

The measure is that of new items: among held-out items, the one that a user takes next is looked for by the vectors of
what the user had before. Every held-out item is new to the encoder: no event on it is seen in training.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recbole_longinterest.data.transitions import CountedEvents

K = 10
RECENT = 10  # events before that are read
MOST = 20_000  # events that are predicted; drawn if there are more
RESAMPLES = 1000
ROWS = 4096  # events compared at a time


@dataclass(frozen=True)
class Queries:
    """Events on held-out items.

    Attributes:
        among: the held-out items, ascending, [n].
        targets: place in ``among`` of each event's item, [Q].
        recent: mean of the recent items of each event's user, rows sum to 1, [Q, N].
    """

    among: NDArray[np.int64]
    targets: NDArray[np.int64]
    recent: sp.csr_array

    def hits(self, vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which items are among the ``K`` nearest, by the cosine with the mean of the recent items' vectors.

        Args:
            vectors: of all items, [N, D].

        Returns:
            bool [Q].
        """
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        found = np.zeros(len(self.targets), bool)
        for start in range(0, len(found), ROWS):
            rows = slice(start, start + ROWS)
            scores = (self.recent[rows] @ unit) @ unit[self.among].T
            own = np.take_along_axis(scores, self.targets[rows, None], axis=1)
            ahead = (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) / 2  # equal texts share their places
            found[rows] = ahead < K
        return found

    def recall(self, vectors: NDArray[np.float32]) -> float:
        """Share of :meth:`hits`."""
        return float(self.hits(vectors).mean())


def split_items(
    candidates: NDArray[np.int64], share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw two sets of items: one that stops the training, one that nothing is chosen by.

    Args:
        candidates: items with a text and events.
        share: of each set.
        rng: draws.
    """
    number = int(len(candidates) * share)
    drawn = rng.permutation(candidates)
    return np.sort(drawn[:number]), np.sort(drawn[number : 2 * number])


def queries_of(
    events: CountedEvents,
    held_out: NDArray[np.bool_],
    group: NDArray[np.int64],
    has_text: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Queries:
    """The events on a group of held-out items.

    Args:
        events: of the training part.
        held_out: all held-out items, which are no recent items either, bool [N].
        group: the items, ascending.
        has_text: bool [N].
        rng: draws from too many events.
    """
    of_group = np.zeros(len(held_out), bool)
    of_group[group] = True
    usable = np.flatnonzero(events.known & ~held_out[events.items] & has_text[events.items])
    targets = np.flatnonzero(events.known & events.wanted & of_group[events.items])
    ends = np.searchsorted(usable, targets)  # usable events before each target
    place = ends[:, None] - 1 - np.arange(RECENT)
    there = place >= 0
    there[there] = usable[place[there]] >= np.repeat(events.first[targets][:, None], RECENT, axis=1)[there]
    kept = np.flatnonzero(there.any(axis=1))
    if len(kept) > MOST:
        kept = np.sort(rng.permutation(kept)[:MOST])
    place, there = place[kept], there[kept]
    row = np.repeat(np.arange(len(kept))[:, None], RECENT, axis=1)[there]
    weight = np.repeat((1 / there.sum(axis=1))[:, None], RECENT, axis=1)[there]
    recent = sp.csr_array((weight, (row, events.items[usable[place[there]]])), shape=(len(kept), len(held_out)))
    return Queries(group, np.searchsorted(group, events.items[targets[kept]]), recent)


def gain(queries: Queries, before: NDArray[np.bool_], after: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Difference of two recalls and its 95 % interval, from draws of the held-out items.

    Args:
        queries: of both.
        before: hits of one encoder.
        after: hits of the other.

    Returns:
        The difference, and the ends of the interval.
    """
    count = np.bincount(queries.targets, minlength=len(queries.among))
    won = np.bincount(queries.targets, weights=after.astype(float) - before, minlength=len(queries.among))
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(count), size=(RESAMPLES, len(count)))
    total = count[drawn].sum(axis=1)
    means = won[drawn].sum(axis=1)[total > 0] / total[total > 0]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(won.sum() / count.sum()), float(low), float(high)
