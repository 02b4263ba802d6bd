"""The items that a user has had, whose scores a learned number raises or lowers, in the terms of a softmax."""

from typing import NamedTuple

import torch
from torch import Tensor


class Repeats(NamedTuple):
    """Items of the softmax that the user of a target has had before, and what is added to their logits.

    What stands before a target stands before all later ones of its history: it is kept once a history, so that memory
    does not grow with the square of its length.

    Attributes:
        items: row of the softmax's items, -1 for an item that the softmax leaves out, int64 [E].
        begin: where in ``items`` those of each target begin, int64 [T].
        number: how many there are; an item stands among them once, int64 [T].
        bias: a scalar.
    """

    items: Tensor
    begin: Tensor
    number: Tensor
    bias: Tensor

    def among(self, place: Tensor) -> "Repeats":
        """The same over a choice of the items.

        Args:
            place: of each item in the choice, -1 for one that is not in it, int64 [N].
        """
        return self._replace(items=torch.where(self.items < 0, -1, place[self.items]))


def pairs_of(items: Tensor, begin: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
    """Number of the target, ascending, and row of the item, int64 [P] each; see :class:`Repeats`."""
    target = torch.repeat_interleave(number)
    shift = (begin - number.cumsum(dim=0) + number).index_select(0, target)
    item = items.index_select(0, torch.arange(len(target), device=target.device) + shift)
    kept = item >= 0
    return target[kept], item[kept]


def had_before(item_seq: Tensor, counted: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """The items that stand in the history of each target, once each.

    Args:
        item_seq: histories padded with 0, int64 [B, L].
        counted: positions after which there is a target, bool [B, L]; None is one target a row, after all of it.

    Returns:
        Items in the order in which they first stand, history after history, int64 [E]; where those of each target begin
        among them, and how many they are, int64 [T].
    """
    ordered, order = item_seq.sort(dim=1, stable=True)
    new = ordered.diff(dim=1, prepend=torch.zeros_like(ordered[:, :1])) > 0  # the padding is not an item
    first = torch.zeros_like(new).scatter(1, order, new)  # where each item stands first
    items, until = item_seq[first], first.cumsum(dim=1)  # row by row; how many there are up to each position
    begin = until[:, -1].cumsum(dim=0) - until[:, -1]  # of each row in ``items``
    if counted is None:
        return items, begin, until[:, -1]
    row, position = counted.nonzero(as_tuple=True)
    return items, begin[row], until[row, position]
