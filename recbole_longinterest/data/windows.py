"""Windows of the flat event log, as pure tensors without RecBole.

RecBole copies every prefix of every history. Here the log stays flat: one tensor per field, sorted by user and time. A
batch gathers its windows from the log. A *window* is the slice ``[start, start + length)`` of the log.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

POSITIONS = 32  # maximum number of padded positions in a training batch, per target of the batch size


def gather_windows(values: Tensor, start: Tensor, length: Tensor, width: int | None = None) -> Tensor:
    """Gather windows of a flat field, padded with zeros at the end.

    Args:
        values: one field of the log, [n_events, ...].
        start: first position of each window, int64 [B].
        length: events of each window, int64 [B].
        width: positions to pad to; the longest window if None.

    Returns:
        [B, L, ...] in the dtype of ``values``.
    """
    if width is None:
        width = int(length.max()) if len(length) else 0
    steps = torch.arange(width)
    outside = steps >= length.unsqueeze(1)  # [B, L]
    windows = values[(start.unsqueeze(1) + steps).clamp_(max=len(values) - 1)]
    windows[outside] = 0
    return windows


@dataclass(frozen=True)
class TrainingWindows:
    """Rows of one-pass training. In a window, every position after the first ``skip`` predicts the event after it.

    Attributes:
        start: first event of each window, int64 [M].
        length: events of each window, int64 [M].
        skip: number of first positions, whose targets belong to an earlier window, int64 [M].
        n_targets: number of targets of each window, int64 [M].
    """

    start: Tensor
    length: Tensor
    skip: Tensor
    n_targets: Tensor

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.start)


def plan_windows(history_start: Tensor, target: Tensor, width: int) -> TrainingWindows:
    """Cut histories into overlapping windows so that every target is counted once.

    Windows have ``width`` events and start every ``width // 2`` events: a target sees at least
    ``min(its position, width / 2)`` of the events before it.

    Args:
        history_start: position in the log at which the history of each target starts, int64 [T].
        target: position in the log of each target, int64 [T], ``> history_start``, without repeats.
        width: events per window, at least 2.

    Returns:
        The windows that have targets.
    """
    if len(target) == 0:
        empty = torch.zeros(0, dtype=torch.int64)
        return TrainingWindows(empty, empty, empty, empty)
    stride = width // 2
    end = torch.zeros(int(target.max()) + 1, dtype=torch.int64)  # last target of the history that starts here
    end.scatter_reduce_(0, history_start, target, "amax")
    first = end.nonzero().flatten()
    last = end[first]
    del end
    size = last - first  # events that are inputs: all before the last target

    per_history = 1 + torch.clamp(size - width + stride - 1, min=0) // stride
    owner = torch.repeat_interleave(torch.arange(len(first)), per_history)
    rank = torch.arange(len(owner)) - torch.repeat_interleave(per_history.cumsum(0) - per_history, per_history)
    start = first[owner] + rank * stride
    length = torch.minimum(first[owner] + size[owner] - start, torch.tensor(width))
    skip = torch.where(rank > 0, width - stride, 0)

    dtype = torch.int32 if len(target) < 2**31 else torch.int64
    before = torch.zeros(int(target.max()) + 3, dtype=dtype)  # targets at positions < p
    before[target + 1] = 1
    torch.cumsum(before, 0, dtype=dtype, out=before)
    n_targets = (before[start + length + 1] - before[start + skip + 1]).long()
    keep = n_targets > 0
    return TrainingWindows(start[keep], length[keep], skip[keep], n_targets[keep])


def plan_batches(windows: TrainingWindows, batch_size: int, generator: torch.Generator) -> list[Tensor]:
    """Group windows of similar length into batches of about ``batch_size`` targets, in random order.

    Args:
        windows: the training rows.
        batch_size: targets per batch. A batch holds as many windows as fit, and at least one. A batch also has at most
            ``POSITIONS * batch_size`` padded positions, which matters if few events are targets (``target_behavior``).
        generator: the only source of randomness.

    Returns:
        Window indices of each batch; every window occurs once.
    """
    shuffled = torch.randperm(len(windows), generator=generator)
    order = shuffled[torch.argsort(windows.length[shuffled], stable=True)]
    batches, begin, total = [], 0, 0
    sizes = zip(windows.n_targets[order].tolist(), windows.length[order].tolist(), strict=True)
    for i, (count, length) in enumerate(sizes):  # the longest so far
        full = total + count > batch_size or (i + 1 - begin) * length > POSITIONS * batch_size
        if full and i > begin:
            batches.append(order[begin:i])
            begin, total = i, 0
        total += count
    batches.append(order[begin:])
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
