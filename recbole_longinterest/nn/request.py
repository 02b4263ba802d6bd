"""The time of a request, where it is read: how long ago the user's last event was when one recommends.

Shapes: ``D`` item dimension, ``T`` levels of a gap (:data:`~recbole_longinterest.nn.levels.TIME_GAP_LEVELS`), ``[...]``
any shape.
"""

import torch
from torch import Tensor, nn

from recbole_longinterest.nn.levels import TIME_GAP_LEVELS, time_gap_levels_of


class RequestTime(nn.Module):
    r"""Changes the interest by the time since the last event: ``y' = (1 + S[gap]) y + G[gap]``.

    The gap is in buckets that double, those of the time between two events. Both tables start at zero, so that at first
    the time of the request changes nothing; ``S`` lets a gap say how much the history still counts, and ``G`` what is
    wanted after it whoever asks. The state of a user holds ``y``, so a request costs one look-up.

    In training a position's gap is that to the event after it. A bucket that no target of the training has counts as
    the nearest one that has some, and an unknown gap (bucket 0) as the mean over the training's targets.

    Args:
        dim: ``D``.
        counts: targets of the training part in each bucket, [T]; a checkpoint fills them too.

    Attributes:
        factor: ``S``, [T, D].
        shift: ``G``, [T, D].
        counts: the same, float32.
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
            interest: after the last event, [..., D].
            gap: time units from the last event to the request, [...]; negative or NaN if it is not known.

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
    """Gaps from last events to requests, NaN where a time is not known.

    A request that comes before the last event, as by clocks that differ, counts as one at its time.

    Args:
        last: times of the last events, float64 [B].
        request: times of the requests, float64 [B].

    Returns:
        float32 [B].
    """
    return (request - last).clamp(min=0).float()
