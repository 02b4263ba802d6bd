"""Numbers as levels: ratings, float columns, and the time since the previous event."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.levels import (
    TIME_GAP_EDGES,
    TIME_GAP_LEVELS,
    number_values,
    rating_levels_of,
    rating_values,
    time_gap_levels_of,
)
from recbole_longinterest.nn.sources.base import Column, EventSource, RawValues, SourceSpec


def number_of(value: object, name: str) -> float:
    """Convert a raw rating, time or other number of an event; NaN if it is missing.

    Raises:
        LongInterestError: if it is not a finite number.
    """
    if value is None or value == "":
        return math.nan
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.inf
    if math.isinf(number):
        raise LongInterestError(f"The {name} of an event must be a number; got {value!r}.")
    return number


def numbers_of(values: RawValues, name: str) -> NDArray[np.float64]:
    """:func:`number_of` of many values, [n]."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu":
        out = values.astype(np.float64)
        if np.isinf(out).any():
            raise LongInterestError(f"The {name} of an event must be a number; got {out[np.isinf(out)][0]}.")
        return out
    return np.fromiter((number_of(value, name) for value in values), np.float64, len(values))


class Number(EventSource):
    """A float column: a level for each distinct training value, or for each of at most 32 ranges.

    Settings: ``values`` of the levels in ascending order; ``range`` by which RecBole normalised, or None.
    """

    column_kinds: ClassVar[tuple[str, ...]] = ("float",)
    values: Tensor

    def __init__(self, spec: SourceSpec, dim: int) -> None:
        super().__init__(spec, dim)
        self.register_buffer("values", torch.tensor(spec.settings["values"], dtype=torch.float32))

    @classmethod
    def fit(cls, column: Column) -> dict[str, Any]:
        """See :meth:`EventSource.fit`; ``levels`` in the options replaces the levels found in the data."""
        given = column.options.get("levels")
        values = cls.choose(column.values) if given is None else torch.unique(torch.tensor(given, dtype=torch.float32))
        return {"values": values.tolist(), "range": None if column.scaled_by is None else list(column.scaled_by)}

    @staticmethod
    def choose(values: Tensor) -> Tensor:
        """Choose the values of the levels."""
        return number_values(values)

    @classmethod
    def count(cls, settings: Mapping[str, Any]) -> int:
        """See :meth:`EventSource.count`."""
        return len(settings["values"]) + 1

    def levels(self, values: Tensor) -> Tensor:
        """The level whose value is nearest; 0 for NaN."""
        return rating_levels_of(values, self.values)

    def step_levels(self, values: Tensor) -> Tensor:
        """The number of edges below a value; 0 for NaN."""
        known = self.values.numpy()  # numpy makes the edges a constant for the exporter
        edges = np.concatenate([np.full(1, -np.inf, np.float32), (known[1:] + known[:-1]) / 2])[: len(known)]
        return (values.unsqueeze(1) > torch.from_numpy(edges)).sum(dim=1)

    def read(self, raw: object) -> np.float32:
        """Scale a number as in training."""
        return np.float32(self._scaled(np.array(number_of(raw, self.spec.name))))

    def read_all(self, raw: RawValues) -> NDArray[np.float32]:
        """Scale numbers as in training, [n]."""
        return self._scaled(numbers_of(raw, self.spec.name))

    def _scaled(self, raw: NDArray[np.float64]) -> NDArray[np.float32]:
        if self.spec.settings.get("range") is not None:
            low, high = self.spec.settings["range"]
            raw = (raw - low) / (high - low) if high > low else raw * 0 + 1
        with np.errstate(over="ignore"):  # a number outside the scale gets the nearest level
            return raw.astype(np.float32)


class Rating(Number):
    """Ratings: every distinct value is a level; if there are more than 32, 32 evenly spaced ones of them."""

    @staticmethod
    def choose(values: Tensor) -> Tensor:
        """See :func:`rating_values`."""
        return rating_values(values)


class TimeGap(EventSource):
    """The time since the user's previous event, in buckets of doubling width."""

    column_kinds: ClassVar[tuple[str, ...]] = ("float",)

    @classmethod
    def fit(cls, column: Column) -> dict[str, Any]:
        """Nothing is learned: the buckets are fixed."""
        return {}

    @classmethod
    def count(cls, settings: Mapping[str, Any]) -> int:
        """See :meth:`EventSource.count`."""
        return TIME_GAP_LEVELS

    def levels(self, values: Tensor) -> Tensor:
        """See :func:`time_gap_levels_of`."""
        return time_gap_levels_of(values)

    def step_levels(self, values: Tensor) -> Tensor:
        """The number of edges at or below a gap; 0 for NaN."""
        return (values.unsqueeze(1) >= TIME_GAP_EDGES).sum(dim=1)

    def read(self, raw: object) -> np.float32:
        """Convert a gap to a number."""
        return np.float32(number_of(raw, self.spec.name))
