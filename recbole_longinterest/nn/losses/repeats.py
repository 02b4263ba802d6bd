"""Items that a user has had before: a learned number is added to their logits in the softmax."""

from typing import NamedTuple

import torch
from torch import Tensor


class Repeats(NamedTuple):
    """The logits that get the repeat bias: for each target, the items that its user has had before.

    An item is stored once a history, not once a target, because it counts for all later targets too. So memory does not
    grow with the square of the history's length.

    Attributes:
        items: row of the softmax's items, -1 for an item that the softmax leaves out, int64 [E].
        begin: where in ``items`` those of each target begin, int64 [T].
        number: how many distinct items each target has, int64 [T].
        bias: a scalar.
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
    """Number of the target, ascending, and row of the item, int64 [P] each; see :class:`Repeats`."""
    target = torch.repeat_interleave(number)
    shift = (begin - number.cumsum(dim=0) + number).index_select(0, target)
    item = items.index_select(0, torch.arange(len(target), device=target.device) + shift)
    kept = item >= 0
    return target[kept], item[kept]


def had_before(item_seq: Tensor, counted: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Distinct items in the history of each target.

    Args:
        item_seq: histories padded with 0, int64 [B, L].
        counted: positions that a target follows, bool [B, L]; None means one target a row, after the last event.

    Returns:
        Items in the order of their first events, history after history, int64 [E]; for each target, the index of its
        first item and its number of items, int64 [T].
    """
    ordered, order = item_seq.sort(dim=1, stable=True)
    new = ordered.diff(dim=1, prepend=torch.zeros_like(ordered[:, :1])) > 0  # the padding is not an item
    first = torch.zeros_like(new).scatter(1, order, new)  # each item's first event
    items, until = item_seq[first], first.cumsum(dim=1)  # row by row; how many there are up to each position
    begin = until[:, -1].cumsum(dim=0) - until[:, -1]  # of each row in ``items``
    if counted is None:
        return items, begin, until[:, -1]
    row, position = counted.nonzero(as_tuple=True)
    return items, begin[row], until[row, position]
