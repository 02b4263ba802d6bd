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
    order = stable_order(keys)
    sorted_keys = keys[order]
    begin = np.flatnonzero(np.concatenate([[True], sorted_keys[1:] != sorted_keys[:-1]])) if len(keys) else order
    del sorted_keys
    size = np.diff(begin, append=len(keys))
    appearance = np.argsort(order[begin], kind="stable")
    size = size[appearance]
    place = np.repeat(begin[appearance] - (np.cumsum(size) - size), size)
    place += np.arange(len(keys))
    return order[place], size


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
