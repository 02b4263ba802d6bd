"""Count which items follow which in histories: one vectorised pass over a log, in bounded memory.

Plain numpy. Shapes: ``E`` events of a log, ``N`` items with the padding, ``K`` followers an item.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LAGS = 10  # events between an item and its follower, at most
LAG_DECAY = 0.7  # weight of a follower a step further away
BACKWARD = 0.25  # weight of the item before, as a follower of the item after
PAIRS = 2**22  # pairs sorted at once, 32 MB


@dataclass(frozen=True)
class Transitions:
    """The most frequent followers of every item.

    Attributes:
        followers: internal ids, the heaviest first, 0 where an item has fewer, int32 [N, K].
        counts: weighted number of times that each followed, 0 at the padding, float32 [N, K].
        support: number of times that another event came right after an event of the item, float32 [N].
    """

    followers: NDArray[np.int32]
    counts: NDArray[np.float32]
    support: NDArray[np.float32]


def count_transitions(
    items: NDArray[np.integer],
    first: NDArray[np.integer],
    known: NDArray[np.bool_],
    wanted: NDArray[np.bool_],
    n_items: int,
    size: int,
) -> Transitions:
    r"""Count the followers of every item.

    A pair of events of one user, ``l`` events apart, adds ``LAG_DECAY ** (l - 1)`` to the later item as a follower of
    the earlier one, and ``BACKWARD`` times as much to the earlier item as a follower of the later one, because in many
    logs the order of near events says little. Pairs more than ``LAGS`` events apart do not count. An item does not
    follow itself.

    Args:
        items: item of each event, users one after another and each in order, [E].
        first: position of the first event of each event's user, [E].
        known: events that may be counted at all: those of the training part, bool [E].
        wanted: events that may count as followers: what can be recommended, bool [E].
        n_items: ``N``.
        size: ``K``.

    Returns:
        The counts.
    """
    table = Transitions(
        np.zeros((n_items, size), np.int32), np.zeros((n_items, size), np.float32), np.zeros(n_items, np.float32)
    )
    if not known.any():
        return table
    last = _last_known(first, known)
    events = np.flatnonzero(known)
    order = events[np.argsort(items[events], kind="stable")]  # events of an item side by side
    begin = np.searchsorted(items[order], np.arange(n_items + 1))
    low = 0
    while low < n_items:
        high = int(np.searchsorted(begin, begin[low] + PAIRS // (2 * LAGS), side="right")) - 1
        high = max(high, low + 1)
        _count_block(order[begin[low] : begin[high]], items, (first, last), (known, wanted), table)
        low = high
    return table


def _last_known(first: NDArray[np.integer], known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Position of the last known event of each event's user, -1 without one, [E]."""
    place = np.where(known, np.arange(len(known)), -1)
    last = np.full(len(known), -1, np.int64)
    np.maximum.at(last, first, place)
    return last[first]


def _count_block(
    source: NDArray[np.integer],
    items: NDArray[np.integer],
    bounds: tuple[NDArray[np.integer], NDArray[np.integer]],
    counted: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    table: Transitions,
) -> None:
    """Count the pairs of some events and write the rows of their items, all of whose events these are."""
    (first, last), (known, wanted), n_items = bounds, counted, len(table.support)
    steps = [step for lag in range(1, LAGS + 1) for step in (lag, -lag)]
    weights = np.array([LAG_DECAY ** (abs(step) - 1) * (1 if step > 0 else BACKWARD) for step in steps])
    keys = []
    for number, step in enumerate(steps):
        near = source[source + step <= last[source] if step > 0 else source + step >= first[source]]
        other = near + step
        counts = wanted[other] & known[other]
        near, other = items[near[counts]].astype(np.int64), items[other[counts]]
        if step == 1:
            table.support[:] += np.bincount(near, minlength=n_items).astype(np.float32)
        apart = near != other
        keys.append((near[apart] * n_items + other[apart]) * len(steps) + number)
    pairs = np.sort(np.concatenate(keys))  # values, whose sort is several times as fast as an argsort
    if not len(pairs):
        return
    pair = pairs // len(steps)
    begin = np.flatnonzero(np.diff(pair, prepend=-1))
    weight = np.add.reduceat(weights[pairs % len(steps)], begin)
    row, follower = np.divmod(pair[begin], n_items)
    heaviest = np.lexsort((-weight, row))  # stable: the smaller id first among equals
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    kept = heaviest[rank < table.followers.shape[1]]
    rank = rank[rank < table.followers.shape[1]]
    table.followers[row[kept], rank] = follower[kept]
    table.counts[row[kept], rank] = weight[kept]
