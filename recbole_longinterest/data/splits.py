"""RecBole's splits by group, with index arrays instead of Python loops and lists."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.orders import Index, stable_order


def group_index(keys: Index) -> tuple[Index, Index]:
    """Group rows. Groups are in the order of their first rows, and rows of a group keep their order.

    Args:
        keys: group of each row, [n].

    Returns:
        Row numbers in the new order, [n], and the number of rows of each group, [n_groups].
    """
    begin = _begins(keys)
    size = np.diff(begin, append=len(keys))
    if 2 * len(begin) <= len(keys) and len(np.unique(keys[begin])) == len(begin):  # they are grouped already
        return np.arange(len(keys)), size
    order = stable_order(keys)
    begin = _begins(keys[order])
    place, size = _rearranged(begin, np.argsort(order[begin], kind="stable"), len(keys))
    return order[place], size


def by_first_time(keys: Index, times: NDArray[np.float64]) -> Index:
    """Arrange whole groups by the times of their first rows.

    :func:`group_index` of the rows in this order is that of the rows sorted by time, without a sort of all rows.

    Args:
        keys: group of each row, [n]; the rows of a group are adjacent and sorted by time.
        times: time of each row, [n].

    Returns:
        Row numbers in the new order, [n].
    """
    begin = _begins(keys)
    return _rearranged(begin, np.argsort(times[begin], kind="stable"), len(keys))[0]


def _begins(keys: Index) -> Index:
    """Find the rows whose key differs from that of the row before."""
    return np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.zeros(0, dtype=np.int64)


def _rearranged(begin: Index, groups: Index, number: int) -> tuple[Index, Index]:
    """Put groups of adjacent rows in another order.

    Args:
        begin: first row of each group, [n_groups].
        groups: the groups in the new order, [n_groups].
        number: number of rows.

    Returns:
        Row numbers in the new order, [n], and the number of rows of each group, [n_groups].
    """
    size = np.diff(begin, append=number)[groups]
    rows = np.repeat(begin[groups] - (np.cumsum(size) - size), size)
    rows += np.arange(number)
    return rows, size


def leave_out(size: Index, number: int) -> NDArray[np.int8]:
    """Leave-one-out split: each group's last ``number`` rows go to one part each; its first row stays in part 0.

    Args:
        size: number of rows of each group, [n_groups].
        number: number of parts besides part 0.

    Returns:
        Part of each row, from 0 to ``number``, in the order of :func:`group_index`, int8 [n].
    """
    part = np.zeros(int(size.sum()), dtype=np.int8)
    last = np.cumsum(size) - 1
    for which in range(number):  # 0 for a group's last row, 1 for the one before, ...
        part[last[size > which + 1] - which] = number - which
    return part


def by_ends(size: Index, ends_of: Callable[[int], Sequence[int]]) -> Index:
    """Split each group at the positions that a function returns.

    Args:
        size: number of rows of each group, [n_groups].
        ends_of: takes the number of rows of a group and returns the ends of all parts but the last (RecBole's
            ``_calcu_split_ids``).

    Returns:
        Part of each row, from 0, in the order of :func:`group_index`, [n].
    """
    distinct, which = np.unique(size, return_inverse=True)
    ends = np.array([ends_of(int(number)) for number in distinct], dtype=np.int64)[which]  # [n_groups, parts - 1]
    within = np.arange(int(size.sum())) - np.repeat(np.cumsum(size) - size, size)
    part = np.zeros(len(within), dtype=np.int64)
    for end in ends.T:
        part += within >= np.repeat(end, size)
    return part
