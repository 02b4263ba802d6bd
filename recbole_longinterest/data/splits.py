"""RecBole's splits by group, with index arrays instead of Python loops and lists."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Index = NDArray[np.int64]
BLOCK = 5_000_000  # rows sorted at once; more if there would be more than PARTS blocks
PARTS = 20  # maximum number of blocks, because each block reads the keys of all rows
SAMPLE = 100_000  # rows from which the limits of the blocks are computed


def stable_order(*keys: NDArray[Any]) -> Index:
    """Sort rows by the first key, then by the next, and so on; the sort is stable.

    It takes half the time of numpy's ``lexsort``, because torch sorts integers by radix.

    Long logs are sorted in blocks, by ranges of the first key: a sort of all rows takes 40 bytes per row.

    Args:
        keys: numbers without NaN, [n] each.

    Returns:
        Row numbers, [n].
    """
    first, number = keys[0], len(keys[0])
    if number > BLOCK:
        sample = np.sort(first[:: max(1, number // SAMPLE)])
        ends = np.unique(sample[:: max(1, len(sample) * BLOCK // number, len(sample) // PARTS)])
        order, at = np.empty(number, dtype=np.int64), 0
        for low, high in zip([None, *ends], [*ends, None], strict=True):
            inside = np.ones(number, dtype=bool) if low is None else first >= low
            if high is not None:
                inside &= first < high
            rows = np.flatnonzero(inside)
            order[at : at + len(rows)] = rows[_order(*(key[rows] for key in keys))]
            at += len(rows)
        return order
    return _order(*keys)


def _order(*keys: NDArray[Any]) -> Index:
    order = torch.arange(len(keys[-1]))
    for key in reversed(keys):
        order = order[torch.sort(torch.from_numpy(key)[order], stable=True)[1]]
    return order.numpy()


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
