"""Map raw values of event features to level ids, which index an embedding table; 0 means "missing"."""

import torch
from torch import Tensor

MAX_RATING_LEVELS = 32  # more distinct ratings than this are reduced to quantiles
TIME_GAP_LEVELS = 50  # "missing", and buckets that double in width from one time unit (a second) to 2^48 units

TIME_GAP_EDGES = torch.tensor([2.0**k - 1 for k in range(TIME_GAP_LEVELS - 1)])  # lower edges of the buckets 1, 2, ...


def rating_values(ratings: Tensor) -> Tensor:
    """Learn the levels of a rating scale from data; any scale works: 0/1, 1-5, 0.5-5, 0-10 or normalised.

    Args:
        ratings: ratings of the training data, [n]; NaN means missing.

    Returns:
        Distinct values in ascending order, at most 32 of them (quantiles beyond that), float32.
    """
    distinct = torch.unique(ratings[~ratings.isnan()].float())
    if len(distinct) > MAX_RATING_LEVELS:
        at = torch.linspace(0, len(distinct) - 1, MAX_RATING_LEVELS).round().long()
        distinct = distinct[at]
    return distinct


def number_values(numbers: Tensor) -> Tensor:
    """Learn the levels of a numeric column.

    Args:
        numbers: values of the training data, [n]; NaN means missing.

    Returns:
        Distinct values in ascending order, float32. If there are more than 32, the values at 32 evenly spaced ranks of
        ``numbers``, so that all levels have about the same number of events.
    """
    known = numbers[~numbers.isnan()].float()
    distinct = torch.unique(known)
    if len(distinct) <= MAX_RATING_LEVELS:
        return distinct
    at = torch.linspace(0, len(known) - 1, MAX_RATING_LEVELS).round().long()
    return torch.unique(known.sort().values[at])


def rating_edges(values: Tensor) -> Tensor:
    """Lower edges of the levels of a rating scale, [n]: a rating's level is the number of edges below it.

    Args:
        values: from :func:`rating_values`.
    """
    return torch.cat([values.new_full((1,), -torch.inf), (values[1:] + values[:-1]) / 2])[: len(values)]


def rating_levels_of(ratings: Tensor, values: Tensor) -> Tensor:
    """Level id of each rating: 1 + the index of the nearest value; 0 for NaN.

    Args:
        ratings: any shape; NaN means missing.
        values: from :func:`rating_values`.

    Returns:
        int64 ids in ``0..len(values)``, shape of ``ratings``. All are 0 if the training data had no rating.
    """
    return torch.where(ratings.isnan(), 0, torch.bucketize(ratings, rating_edges(values)))


def time_gap_levels_of(gap: Tensor) -> Tensor:
    """Bucket of the time since the user's previous event: 1 + floor(log2(1 + gap)), so bucket widths double.

    Args:
        gap: time units since the previous event, any shape; negative or NaN for a first event.

    Returns:
        int64 ids in ``0..49``, shape of ``gap``.
    """
    bucket = torch.bucketize(gap, TIME_GAP_EDGES.to(gap.device, gap.dtype), right=True)
    return torch.where(gap >= 0, bucket, 0)  # NaN >= 0 is False
