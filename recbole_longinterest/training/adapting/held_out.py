"""Measure how well an encoder finds new items, with items that are held out of its training.

A query is an event on a held-out item. The held-out items are ranked by the cosine of their text vectors with the mean
vector of the user's items before. To the encoder these items are new: it is trained without their events.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recbole_longinterest.data.transitions import CountedEvents

K = 10
RECENT = 10  # earlier events of the user that a query uses, at most
MOST = 20_000  # maximum number of queries; a random sample if there are more
RESAMPLES = 1000  # bootstrap samples
ROWS = 4096  # queries scored at a time


@dataclass(frozen=True)
class Queries:
    """Events on held-out items.

    Attributes:
        among: ids of the items to rank, ascending, [n].
        targets: index in ``among`` of each event's item, [Q].
        recent: weights of the user's recent items before each event; each row sums to 1, [Q, N].
    """

    among: NDArray[np.int64]
    targets: NDArray[np.int64]
    recent: sp.csr_array

    def hits(self, vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tell for each event whether its item is among the ``K`` best.

        Items are ranked by the cosine with the mean vector of the recent items.

        Args:
            vectors: vectors of all items, [N, D].

        Returns:
            Mask of the hits, bool [Q].
        """
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        found = np.zeros(len(self.targets), bool)
        for start in range(0, len(found), ROWS):
            rows = slice(start, start + ROWS)
            scores = (self.recent[rows] @ unit) @ unit[self.among].T
            own = np.take_along_axis(scores, self.targets[rows, None], axis=1)
            ahead = (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) / 2  # a tie counts as half a place
            found[rows] = ahead < K
        return found

    def recall(self, vectors: NDArray[np.float32]) -> float:
        """Recall@``K``: the share of events that are :meth:`hits`."""
        return float(self.hits(vectors).mean())


def split_items(
    candidates: NDArray[np.int64], share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw two disjoint sets of held-out items: one to choose by, and one only to report on.

    Args:
        candidates: ids of items with a text and events.
        share: size of each set, as a share of the candidates.
        rng: random generator.

    Returns:
        Ids of the two sets, ascending.
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
    """Make the queries for a group of held-out items.

    Args:
        events: events of the training part.
        held_out: mask of all held-out items; they are not used as recent items either, bool [N].
        group: ids of the group's items, ascending.
        has_text: mask of the items with a text, bool [N].
        rng: random generator, to sample if there are more than ``MOST`` queries.
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
    """Return the gain in recall with a 95 % bootstrap interval, which resamples the held-out items.

    Args:
        queries: the queries.
        before: hits of the encoder to compare with, bool [Q].
        after: hits of the other encoder, bool [Q].

    Returns:
        Recall of ``after`` minus recall of ``before``, and the lower and upper end of the interval.
    """
    count = np.bincount(queries.targets, minlength=len(queries.among))
    won = np.bincount(queries.targets, weights=after.astype(float) - before, minlength=len(queries.among))
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(count), size=(RESAMPLES, len(count)))
    total = count[drawn].sum(axis=1)
    means = won[drawn].sum(axis=1)[total > 0] / total[total > 0]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(won.sum() / count.sum()), float(low), float(high)
