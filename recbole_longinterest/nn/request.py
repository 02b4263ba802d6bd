"""The time of a request: how long before a recommendation the user's last event was.

Shapes: ``D`` item dimension, ``T`` levels of a gap (:data:`~recbole_longinterest.nn.levels.TIME_GAP_LEVELS`), ``[...]``
any shape.
"""

import torch
from torch import Tensor, nn

from recbole_longinterest.nn.levels import TIME_GAP_LEVELS, time_gap_levels_of


class RequestTime(nn.Module):
    r"""Adjust the interest to the time since the last event: ``y' = (1 + S[gap]) y + G[gap]``.

    Gaps use the same doubling buckets as the time between events. Both tables start at zero, so that at first the time
    of the request has no effect. ``S`` learns how much the history still counts after a gap; ``G`` learns what users in
    general want after it. The state of a user holds ``y``, so a request costs one look-up.

    In training, the gap of a position is the time to the next event. A bucket without training targets uses the nearest
    bucket with targets; an unknown gap (bucket 0) uses the mean over the training targets.

    Args:
        dim: ``D``.
        counts: number of training targets in each bucket, [T]; None if a checkpoint fills them.

    Attributes:
        factor: ``S``, [T, D].
        shift: ``G``, [T, D].
        counts: number of training targets in each bucket, float32 [T].
    """

    counts: Tensor

    def __init__(self, dim: int, counts: Tensor | None = None) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.zeros(TIME_GAP_LEVELS, dim))
        self.shift = nn.Parameter(torch.zeros(TIME_GAP_LEVELS, dim))
        self.register_buffer("counts", torch.zeros(TIME_GAP_LEVELS) if counts is None else counts.float())

    def forward(self, interest: Tensor, gap: Tensor) -> Tensor:
        """Interest at the time of a request.

        Args:
            interest: interest after the last event, [..., D].
            gap: time units from the last event to the request, [...]; negative or NaN if unknown.

        Returns:
            [..., D].
        """
        level = time_gap_levels_of(gap)
        return interest * (1 + self._looked_up(self.factor, level)) + self._looked_up(self.shift, level)

    def _looked_up(self, table: Tensor, level: Tensor) -> Tensor:
        known = self.counts[1:] > 0
        place = torch.arange(len(known), device=known.device)
        apart = (place.unsqueeze(1) - place).abs().masked_fill(~known, len(known))
        near = table[1:][apart.argmin(dim=1)]  # [T - 1, D]
        mean = (self.counts[1:, None] * table[1:]).sum(dim=0) / self.counts[1:].sum().clamp(min=1)
        return torch.cat([mean.unsqueeze(0), near])[level]


def request_gaps(last: Tensor, request: Tensor) -> Tensor:
    """Gaps from last events to requests; NaN if a time is unknown.

    A request from before the last event (clocks may differ) gets a gap of 0.

    Args:
        last: times of the last events, float64 [B].
        request: times of the requests, float64 [B].

    Returns:
        float32 [B].
    """
    return (request - last).clamp(min=0).float()
