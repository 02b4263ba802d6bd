"""Scale numbers of the log by their range in the training part. RecBole uses the range of all parts."""

from collections.abc import Sequence
from logging import getLogger
from typing import Any

import torch
from torch import Tensor

from recbole_longinterest.data.log_rows import LogRows


def seen_in_training(rows: LogRows, n_events: int, with_targets: bool) -> Tensor:
    """Mark the training events: those up to each user's last training row.

    Args:
        rows: rows of the training part.
        n_events: number of events of the log.
        with_targets: also mark the event of each user's last row, which is only a target.

    Returns:
        Mask, bool [n_events].
    """
    start = rows.starts(n_events)
    last = torch.zeros(n_events, dtype=torch.int64 if n_events >= 2**31 else torch.int32)
    for piece in rows.pieces():
        last.scatter_reduce_(0, piece.history_start(), piece.position.to(last.dtype) + int(with_targets), "amax")
    seen = torch.zeros(n_events + 2, dtype=torch.int8)  # +1 where a user's seen events begin, -1 where they end
    seen.index_add_(0, start, torch.ones(len(start), dtype=torch.int8))
    seen.index_add_(0, last[start].long(), torch.full((len(start),), -1, dtype=torch.int8))
    return torch.cumsum(seen, 0, dtype=torch.int8)[:n_events] > 0


def normalize_parts(
    parts: Sequence[Any], fields: Sequence[str], exact: dict[str, Tensor]
) -> dict[str, tuple[float, float]]:
    """Scale fields of the log so that values of the training part are in 0..1. Later values may lie outside.

    Args:
        parts: data sets over one flat log; the first one is the training part.
        fields: columns of numbers to scale.
        exact: field -> full-precision values, [n_events], for fields that the log stores rounded.

    Returns:
        Lowest and highest value of the training part by field.
    """
    train, ranges = parts[0], {}
    for field in fields:
        history_field = getattr(train, f"{field}_list_field")
        rounded = train.inter_feat.interaction.log.get(field, train.event_log.get(history_field))
        if rounded is None or not isinstance(train.inter_feat, LogRows):
            continue
        values = exact.get(field, rounded).double()
        seen = values[seen_in_training(train.inter_feat, len(values), with_targets=True)]
        seen = seen[~seen.isnan()]
        if len(seen) == 0:
            continue
        low, high = seen.min(), seen.max()
        ranges[field] = float(low), float(high)
        if low == high:
            getLogger().warning(f"All the same value in [{field}] of the training part.")
            scaled = torch.where(values.isnan(), values, torch.ones_like(values))
        else:
            scaled = (values - low) / (high - low)
        for part in parts:
            if field in part.inter_feat.interaction.log:
                part.inter_feat.interaction.log[field] = scaled.to(rounded.dtype)
            if history_field in part.event_log:
                dtype = part.event_log[history_field].dtype
                part.event_log = {**part.event_log, history_field: scaled.to(dtype)}
    return ranges
