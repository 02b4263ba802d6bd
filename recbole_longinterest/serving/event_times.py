"""Convert times of events (numbers or dates of any kind) to the training's unit."""

import math
import re
from collections.abc import Sequence
from datetime import date, datetime, time, timezone
from logging import getLogger
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.dates import iso_date
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.sources.numbers import number_of, numbers_of
from recbole_longinterest.serving.training_times import EARLIEST, EPOCH, UNITS, TrainingTimes

UNKNOWN = TrainingTimes(0.0, 1e9, 2e10)
"""For exports without the training's times: seconds are assumed, and nothing is checked."""


class EventTimes:
    """Reads the times of events for one model.

    Args:
        training: the training's times; None for an export without them.
    """

    def __init__(self, training: TrainingTimes | None) -> None:
        self.training = training
        self.low, self.high = training.limits if training is not None else (-math.inf, math.inf)
        self._warned = training is not None

    def one(self, value: object, where: str = "The event") -> float:
        """Convert a time to the training's unit; NaN for a missing time.

        Args:
            value: a number, or a date: an ISO text, a ``datetime``, a ``date``, or a numpy or pandas date.
            where: location of the value, for messages.

        Raises:
            LongInterestError: for another type, or a time in another unit.
        """
        if type(value) is float and self.low <= value <= self.high:  # the usual case of a stream
            return value
        if _is_date(value):
            seconds = seconds_of(value)
            return math.nan if math.isnan(seconds) else float(self.of_seconds(np.array(seconds), where))
        number = number_of(value, "time")
        if (number < self.low or number > self.high) and self.training is not None:
            self.training.check(np.array([number]), where)
        return number

    def many(self, values: Sequence[Any] | NDArray[Any], where: str = "The history") -> NDArray[np.float64]:
        """Convert many times, see :meth:`one`, [n]."""
        if isinstance(values, np.ndarray) and values.dtype.kind == "M":
            times = self.of_seconds(_seconds_of_numpy(values), where)
        elif isinstance(values, np.ndarray) and values.dtype.kind in "fiu":
            times = numbers_of(values, "time")
        else:
            times = np.fromiter((self.one(value, where) for value in values), np.float64, len(values))
        if self.training is not None:
            self.training.check(times, where)
        return times

    def of_seconds(self, seconds: NDArray[np.float64], where: str) -> NDArray[np.float64]:
        """Convert seconds since 1970 to the training's unit; see :meth:`TrainingTimes.of_seconds`."""
        if self.training is None and not self._warned:
            self._warned = True
            getLogger().warning(
                "This export does not have the unit of the training's times; dates are read as seconds since 1970. "
                "Export the checkpoint again, so that the unit is known and checked."
            )
        return seconds if self.training is None else self.training.of_seconds(seconds, where)

    def date_of(self, value: float) -> str:
        """Convert a time to an ISO date; "" if that is not possible."""
        training = self.training or UNKNOWN
        if self.training is None and not EARLIEST <= value < UNITS[0][1]:
            return ""
        return training.date_of(value)


def _is_date(value: object) -> bool:
    """Whether a value is a date, not a number."""
    if isinstance(value, (int, float)):
        return False
    if isinstance(value, str):
        return bool(re.match(r"\s*\d{4}-\d\d", value))
    return isinstance(value, (date, np.datetime64))  # a datetime and pandas' Timestamp are dates, too


def seconds_of(value: Any) -> float:  # noqa: ANN401 - any kind of date
    """Convert a date to seconds since 1970, in UTC unless it has an offset; NaN for NaT.

    Raises:
        LongInterestError: for a text that is not an ISO date.
    """
    if isinstance(value, np.datetime64):
        return float(_seconds_of_numpy(np.array(value)))
    if isinstance(value, str):
        try:
            value = iso_date(value)
        except ValueError:
            raise LongInterestError(f"The time of an event must be a number or an ISO date; got {value!r}.") from None
    if value != value:  # pandas' NaT
        return math.nan
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return float(((value if value.tzinfo else value.replace(tzinfo=timezone.utc)) - EPOCH).total_seconds())


def _seconds_of_numpy(values: NDArray[Any]) -> NDArray[np.float64]:
    """Convert numpy dates of any unit to seconds since 1970; NaN for NaT."""
    unit = np.datetime_data(values.dtype)[0]
    per = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}.get(unit)
    if per is None:
        values, per = values.astype("datetime64[s]"), 1.0
    seconds = values.astype(np.int64) / per
    return np.where(np.isnat(values), np.nan, seconds)
