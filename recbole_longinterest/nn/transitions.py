"""Count which items follow which in histories: one vectorised pass over a log, in bounded memory.

Uses numpy only. Shapes: ``E`` events of a log, ``N`` items with the padding, ``K`` followers per item.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LAGS = 10  # maximum distance between an item and its follower, in events
LAG_DECAY = 0.7  # factor of the weight for each step of distance
BACKWARD = 0.25  # weight of an earlier item as a follower of a later one
NEIGHBOURS = 5  # number of items that lend their transitions to a new item
MANY = 2**15 - 1  # occurrences are not counted further
PAIRS = 2**22  # pairs sorted at once, 32 MB
EVENTS = 2**23  # events sorted by item at once


@dataclass(frozen=True)
class Transitions:
    """The most frequent followers of every item.

    Attributes:
        followers: internal ids, the largest count first, filled up with 0, int32 [N, K].
        counts: weighted number of times that each follower followed, 0 at the padding, float32 [N, K].
        support: number of times that another event came right after an event of the item, float32 [N].
        occurrences: number of times that each follower came within :data:`LAGS` events after the item, at most
            :data:`MANY`. Explanations show it; scores do not use it. 0 for lent transitions, int16 [N, K].
    """

    followers: NDArray[np.int32]
    counts: NDArray[np.float32]
    support: NDArray[np.float32]
    occurrences: NDArray[np.int16]


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
    logs the order of nearby events says little. Pairs more than ``LAGS`` events apart do not count. An item does not
    follow itself.

    Args:
        items: item of each event, grouped by user and ordered within a user, [E].
        first: position of the first event of each event's user, [E].
        known: events that are counted: those of the training data, bool [E].
        wanted: events that may count as followers: those whose items can be recommended, bool [E].
        n_items: ``N``.
        size: ``K``.

    Returns:
        The followers of every item.
    """
    table = Transitions(
        np.zeros((n_items, size), np.int32),
        np.zeros((n_items, size), np.float32),
        np.zeros(n_items, np.float32),
        np.zeros((n_items, size), np.int16),
    )
    if not known.any():
        return table
    last = _last_known(first, known)
    before = np.concatenate([[0], np.cumsum(np.bincount(items[known], minlength=n_items))])  # known events before each
    top = 0
    while top < n_items:  # range by range of items
        bottom, top = top, _end_of(before, top, EVENTS)
        events = np.flatnonzero(known & (items >= bottom) & (items < top))
        order = events[np.argsort(items[events], kind="stable")]  # grouped by item
        high = bottom
        while high < top:
            low, high = high, min(top, _end_of(before, high, PAIRS // (2 * LAGS)))
            block = order[before[low] - before[bottom] : before[high] - before[bottom]]
            count = _count_item if high == low + 1 and len(block) else _count_block
            count(block, items, (first, last), (known, wanted), table)
    return table


def _end_of(before: NDArray[np.integer], item: int, number: int) -> int:
    """End of the longest range of items from ``item`` on with at most ``number`` events; at least one item."""
    return max(int(np.searchsorted(before, before[item] + number, side="right")) - 1, item + 1)


def _last_known(first: NDArray[np.integer], known: NDArray[np.bool_]) -> NDArray[np.integer]:
    """Position of the last known event of each event's user, -1 if the user has no known events, [E]."""
    place = np.where(known, np.arange(len(known), dtype=first.dtype), first.dtype.type(-1))
    begin = np.flatnonzero(np.concatenate([[True], first[1:] != first[:-1]]))  # of each user
    return np.repeat(np.maximum.reduceat(place, begin), np.diff(begin, append=len(first)))


def _count_block(
    source: NDArray[np.integer],
    items: NDArray[np.integer],
    bounds: tuple[NDArray[np.integer], NDArray[np.integer]],
    counted: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    table: Transitions,
) -> None:
    """Count the pairs of a block of events and write the rows of its items; the block has all events of these items."""
    (steps, weights), n_items = _steps(), len(table.support)
    keys = []
    for number, step in enumerate(steps):
        near, other = _pairs(source, step, items, bounds, counted)
        if step == 1:
            table.support[:] += np.bincount(near, minlength=n_items).astype(np.float32)
        apart = near != other
        keys.append((near[apart].astype(np.int64) * n_items + other[apart]) * len(steps) + number)
    pairs = np.sort(np.concatenate(keys))  # sorting values is several times as fast as an argsort
    if not len(pairs):
        return
    pair = pairs // len(steps)
    begin = np.flatnonzero(np.diff(pair, prepend=-1))
    step_of = pairs % len(steps)
    weight = np.add.reduceat(weights[step_of], begin)
    occurrences = np.add.reduceat(step_of % 2 == 0, begin, dtype=np.int32)  # the other steps go backward
    row, follower = np.divmod(pair[begin], n_items)
    _write_heaviest((row, follower, weight, occurrences), table)


def _count_item(
    source: NDArray[np.integer],
    items: NDArray[np.integer],
    bounds: tuple[NDArray[np.integer], NDArray[np.integer]],
    counted: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    table: Transitions,
) -> None:
    """Do the same for all events of one item, without its pairs at once: it may have a fifth of all events."""
    item, n_items = int(items[source[0]]), len(table.support)
    weight, occurrences = np.zeros(n_items), np.zeros(n_items, np.int64)
    for begin in range(0, len(source), PAIRS):
        for step, value in zip(*_steps(), strict=True):
            _, other = _pairs(source[begin : begin + PAIRS], step, items, bounds, counted)
            number = np.bincount(other, minlength=n_items)
            if step == 1:
                table.support[item] += number.sum()
            weight += value * number
            occurrences += number * (step > 0)
    weight[item] = 0  # it does not follow itself
    follower = np.flatnonzero(weight)
    _write_heaviest((np.full_like(follower, item), follower, weight[follower], occurrences[follower]), table)


def _steps() -> tuple[list[int], NDArray[np.floating]]:
    """Distances from an event to its followers, negative for earlier events, and their weights."""
    steps = [step for lag in range(1, LAGS + 1) for step in (lag, -lag)]
    return steps, np.array([LAG_DECAY ** (abs(step) - 1) * (1 if step > 0 else BACKWARD) for step in steps])


def _pairs(
    source: NDArray[np.integer],
    step: int,
    items: NDArray[np.integer],
    bounds: tuple[NDArray[np.integer], NDArray[np.integer]],
    counted: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Items of the events ``source`` and of those ``step`` events later, where these are of the same user and count."""
    (first, last), (known, wanted) = bounds, counted
    near = source[source + step <= last[source] if step > 0 else source + step >= first[source]]
    other = near + step
    counts = wanted[other] & known[other]
    return items[near[counts]], items[other[counts]]


def _write_heaviest(
    pairs: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.floating], NDArray[np.integer]], table: Transitions
) -> None:
    """Write the heaviest followers of each row into a table; pairs are sorted by row, then by follower."""
    row, follower, weight, occurrences = pairs
    heaviest = np.lexsort((-weight, row))  # stable: among equal weights the smaller id comes first
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    kept, rank = heaviest[rank < table.followers.shape[1]], rank[rank < table.followers.shape[1]]
    table.followers[row[kept], rank] = follower[kept]
    table.counts[row[kept], rank] = weight[kept]
    table.occurrences[row[kept], rank] = np.minimum(occurrences[kept], MANY)


def lend(
    table: Transitions, vectors: NDArray[np.float32], new: NDArray[np.integer], known: NDArray[np.integer]
) -> None:
    """Give items without events the transitions of items with similar vectors, in place.

    A new item gets the mean of the transitions, to and from, of its ``NEIGHBOURS`` nearest known items, weighted by
    cosine similarity. So it can be recommended before any user has had it.

    Args:
        table: the counts; rows of ``new`` are replaced, and ``new`` items are added to the rows of other items.
        vectors: vectors of all items, for example of their texts, [N, W].
        new: internal ids of items without events.
        known: internal ids of items that may lend their transitions.
    """
    norms = np.linalg.norm(vectors, axis=1)
    new, known = new[norms[new] > 0], known[norms[known] > 0]
    if not len(new) or not len(known):
        return
    unit = vectors / np.maximum(norms, 1e-12)[:, None]
    number = min(NEIGHBOURS, len(known))
    near, share = np.empty((len(new), number), np.int64), np.empty((len(new), number), np.float32)
    for begin in range(0, len(new), step := max(1, PAIRS // len(known))):
        cosine = unit[new[begin : begin + step]] @ unit[known].T
        best = np.argpartition(-cosine, number - 1, axis=1)[:, :number]
        near[begin : begin + step] = known[best]
        share[begin : begin + step] = np.maximum(np.take_along_axis(cosine, best, 1), 0)
    share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-12)
    table.followers[new], table.counts[new], table.occurrences[new] = 0, 0, 0
    table.support[new] = (table.support[near] * share).sum(axis=1)
    row, slot = np.nonzero(table.followers)
    rows, followers, weights = [row], [table.followers[row, slot].astype(np.int64)], [table.counts[row, slot]]
    occurrences = [table.occurrences[row, slot]]
    by_follower = np.argsort(followers[0], kind="stable")
    begins = np.searchsorted(followers[0][by_follower], np.arange(len(table.support) + 1))
    for item, lenders, shares in zip(new.tolist(), near.tolist(), share.tolist(), strict=True):
        for lender, part in zip(lenders, shares, strict=True):
            lent = by_follower[begins[lender] : begins[lender + 1]]  # pairs with the lender as follower
            own = table.followers[lender] > 0  # pairs with followers of the lender
            rows += [row[lent], np.full(own.sum(), item)]
            followers += [np.full(len(lent), item), table.followers[lender, own].astype(np.int64)]
            weights += [part * weights[0][lent], part * table.counts[lender, own]]
            occurrences += [np.zeros(len(lent), np.int32), np.zeros(own.sum(), np.int32)]  # lent pairs never occurred
    n_items = len(table.support)
    pairs, place = np.unique(np.concatenate(rows) * n_items + np.concatenate(followers), return_inverse=True)
    weight: NDArray[np.float64] = np.bincount(place.reshape(-1), np.concatenate(weights)).astype(np.float64)
    occurred = np.bincount(place.reshape(-1), np.concatenate(occurrences)).astype(np.int32)
    table.followers[:], table.counts[:], table.occurrences[:] = 0, 0, 0
    row, follower = np.divmod(pairs, n_items)
    _write_heaviest((row, follower, weight, occurred), table)
