"""Repeat bias: a learned number that the softmax adds to the logits of items in the user's history."""

from typing import NamedTuple

import torch
from torch import Tensor


class Repeats(NamedTuple):
    """The logits that get the repeat bias: for each target, the earlier items of its user.

    An item is stored once per history, not once per target, because it counts for all later targets too. So memory
    does not grow with the square of the history's length.

    Attributes:
        items: column of each item in the logits, -1 for an item outside the softmax, int64 [E].
        begin: index in ``items`` of each target's first item, int64 [T].
        number: number of distinct items of each target, int64 [T].
        bias: the repeat bias, a scalar.
    """

    items: Tensor
    begin: Tensor
    number: Tensor
    bias: Tensor

    def among(self, place: Tensor) -> "Repeats":
        """Map the items to a sample of the catalogue.

        Args:
            place: position of each item in the sample, -1 for items outside it, int64 [N].
        """
        return self._replace(items=torch.where(self.items < 0, -1, place[self.items]))


def pairs_of(items: Tensor, begin: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
    """List the pairs of a target and an earlier item; see :class:`Repeats`.

    Returns:
        Index of the target, ascending, and column of the item in the logits, int64 [P] each.
    """
    target = torch.repeat_interleave(number)
    shift = (begin - number.cumsum(dim=0) + number).index_select(0, target)
    item = items.index_select(0, torch.arange(len(target), device=target.device) + shift)
    kept = item >= 0
    return target[kept], item[kept]


def had_before(item_seq: Tensor, counted: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Find the distinct items in the history of each target.

    Args:
        item_seq: histories padded with 0, int64 [B, L].
        counted: positions followed by a target, bool [B, L]; None means one target per row, after the last event.

    Returns:
        Items of all histories in the order of their first events, int64 [E]; for each target, the index of its first
        item and its number of items, int64 [T] each.
    """
    ordered, order = item_seq.sort(dim=1, stable=True)
    new = ordered.diff(dim=1, prepend=torch.zeros_like(ordered[:, :1])) > 0  # the padding is not an item
    first = torch.zeros_like(new).scatter(1, order, new)  # each item's first event
    items, until = item_seq[first], first.cumsum(dim=1)  # until: number of distinct items up to each position
    begin = until[:, -1].cumsum(dim=0) - until[:, -1]  # index in `items` of each row's first item
    if counted is None:
        return items, begin, until[:, -1]
    row, position = counted.nonzero(as_tuple=True)
    return items, begin[row], until[row, position]
