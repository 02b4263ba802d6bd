"""Random changes of training histories: items hidden or replaced, events reordered, histories shortened.

Shapes: ``B`` histories, ``L`` positions of a window, padded with 0 at the end; ``N`` items with the padding.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from recbole_longinterest.nn.options import ModelOptions

SPAN = 4  # neighbouring events that are reordered
NEIGHBOURS = 10  # items that may replace an item
ROWS = 2048  # items compared with all others at once


@dataclass(frozen=True)
class Windows:
    """Training windows.

    Attributes:
        inputs: items that the network reads, int64 [B, L].
        history: the user's items, for the repeat bias, int64 [B, L].
        target: the next item at each position, 0 for positions without a target, int64 [B, L].
        events: what else belongs to the events (levels of sources, gaps to the next event), [B, L, ...] each.
    """

    inputs: Tensor
    history: Tensor
    target: Tensor
    events: Mapping[str, Tensor]


class Augmentation:
    """Changes windows before the network reads them in training (Xie et al. 2022, CL4SRec: crop, mask, reorder).

    The targets stay in training, unlike in contrastive learning, where two changed histories are compared:

    - crop: with probability ``augment_crop`` a window begins at a random event of its first half.
    - reorder: with probability ``augment_reorder``, :data:`SPAN` neighbouring events at a random place get a random
      order. Every event is still predicted from those that are now before it; the first one of a window stays.
    - mask: the item of an event is hidden with probability ``augment_mask``: the event gets the vector of an item
      without ID and text, and keeps its rating and time.
    - substitute: the item of an event is replaced, with probability ``augment_substitute``, by one of its
      :data:`NEIGHBOURS` neighbours.

    Masked and substituted events are targets as before, with their own items. Random numbers come from torch's global
    generator.

    Args:
        options: the probabilities.
    """

    def __init__(self, options: ModelOptions) -> None:
        self.crop, self.reorder = options.augment_crop, options.augment_reorder
        self.mask, self.substitute = options.augment_mask, options.augment_substitute
        self._neighbours: Tensor | None = None

    def __bool__(self) -> bool:
        """Whether anything is changed."""
        return any((self.crop, self.reorder, self.mask, self.substitute))

    def __call__(self, windows: Windows, neighbours: Callable[[], Tensor]) -> Windows:
        """Change a batch of windows.

        Args:
            windows: the batch.
            neighbours: makes the neighbours of each item, int64 [N, k], 0 for none; called once, only for
                ``substitute``.
        """
        if self.crop:
            windows = cropped(windows, self.crop)
        if self.reorder:
            windows = reordered(windows, self.reorder)
        inputs = windows.inputs
        if self.substitute:
            if self._neighbours is None:
                self._neighbours = neighbours().to(inputs.device)
            chosen = torch.randint(self._neighbours.shape[1], inputs.shape, device=inputs.device)
            other = self._neighbours[inputs, chosen]
            inputs = torch.where(_drawn(inputs.shape, self.substitute, inputs) & (other > 0), other, inputs)
        if self.mask:
            inputs = inputs.masked_fill(_drawn(inputs.shape, self.mask, inputs), 0)
        return replace(windows, inputs=inputs)


def cropped(windows: Windows, probability: float) -> Windows:
    """Drop the first events of some windows, at most half of them; the others move to the front."""
    items = windows.inputs
    length = (items > 0).sum(dim=1, keepdim=True)
    begin = (torch.rand(len(items), 1, device=items.device) * (length // 2 + 1)).long()
    begin = begin * _drawn(begin.shape, probability, items)
    index = torch.arange(items.shape[1], device=items.device) + begin
    inside = index < length
    return _rearranged(windows, torch.where(inside, index, 0), inside)


def reordered(windows: Windows, probability: float) -> Windows:
    """Shuffle :data:`SPAN` neighbouring events of some windows, and make the targets follow the new order."""
    items, target = windows.inputs, windows.target
    length = (items > 0).sum(dim=1, keepdim=True)
    free = length - SPAN  # first events that the span may begin at: 1 to free
    begin = 1 + (torch.rand(len(items), 1, device=items.device) * free.clamp(min=1)).long()
    place = torch.arange(items.shape[1], device=items.device).expand_as(items)
    chosen = (free > 0) & _drawn(begin.shape, probability, items)
    moved = chosen & (place >= begin) & (place < begin + SPAN)
    key = torch.where(moved, begin + torch.rand(items.shape, device=items.device) * (SPAN - 0.5), place)
    index = key.argsort(dim=1, stable=True)
    changed = _rearranged(windows, index, place < length)
    wanted = functional.pad(target[:, :-1] > 0, (1, 0)).gather(1, index)  # whether an event in the window is a target
    following = functional.pad((changed.inputs * wanted)[:, 1:], (0, 1))
    return replace(changed, target=torch.where(place == length - 1, target, following))


def _rearranged(windows: Windows, index: Tensor, inside: Tensor) -> Windows:
    """Take the events at other positions, ``index`` [B, L]; those that are not ``inside``, [B, L], are padding."""

    def taken(values: Tensor) -> Tensor:
        wide = index.view(*index.shape, *[1] * (values.dim() - 2)).expand(*index.shape, *values.shape[2:])
        kept = inside.view(*inside.shape, *[1] * (values.dim() - 2))
        return torch.where(kept, values.gather(1, wide), torch.zeros_like(values[:1, :1]))

    events = {name: taken(values) for name, values in windows.events.items()}
    return Windows(taken(windows.inputs), taken(windows.history), taken(windows.target), events)


def _drawn(shape: torch.Size, probability: float, like: Tensor) -> Tensor:
    return torch.rand(shape, device=like.device) < probability


def nearest_items(vectors: Tensor, present: Tensor) -> Tensor:
    """Find the items with the most similar vectors by cosine.

    Items without a vector neither have neighbours nor become neighbours.

    Args:
        vectors: [N, W].
        present: which items have a vector, bool [N].

    Returns:
        int64 [N, k], 0 for none.
    """
    unit = functional.normalize(vectors, dim=1)
    number = min(NEIGHBOURS, max(len(unit) - 1, 1))
    found = []
    for rows in torch.arange(len(unit), device=unit.device).split(ROWS):
        cosine = unit[rows] @ unit.T
        cosine.masked_fill_(~present, -torch.inf)[torch.arange(len(rows), device=unit.device), rows] = -torch.inf
        value, item = cosine.topk(number, dim=1)
        found.append(torch.where(value.isfinite() & present[rows].unsqueeze(1), item, 0))
    return torch.cat(found)
