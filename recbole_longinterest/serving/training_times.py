"""The range and unit of a training's times, and a check that new times have the same unit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property
from logging import getLogger
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.printable import printable

# The magnitude of a Unix time shows its unit: seconds reach 10^11 in the year 5138, milliseconds passed it in 1973.
# (name, upper limit, units per second).
UNITS = (("seconds", 1e11, 1.0), ("milliseconds", 1e14, 1e3), ("microseconds", 1e17, 1e6), ("nanoseconds", np.inf, 1e9))
EARLIEST = 1e8  # seconds, March 1973: smaller times do not count from 1970
SAMPLE = 1000
YEAR = 31_556_952.0  # seconds
NEAR = 8.0  # times between 1/8 and 8 times the training's median are not checked further
COARSE = {"minutes": 60.0, "hours": 3600.0, "days": 86400.0}
EXCEL = 25569  # days from Excel's day 0 to 1970
DIGITS = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 14: "%Y%m%d%H%M%S"}
FORMS = {"%Y": "YYYY", "%Y%m": "YYYYMM", "%Y%m%d": "YYYYMMDD", "%Y%m%d%H%M%S": "YYYYMMDDhhmmss"}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class TrainingTimes:
    """Range of the training's times, to interpret and check the times of new events.

    Attributes:
        first: earliest time.
        median: median time.
        last: latest time.
    """

    first: float
    median: float
    last: float
    _warned: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, times: NDArray[Any]) -> "TrainingTimes | None":
        """Compute from a training's times, [n]; None without any time."""
        known = np.asarray(times, dtype=np.float64)
        known = known[np.isfinite(known)]
        return cls(float(known.min()), float(np.median(known)), float(known.max())) if len(known) else None

    @cached_property
    def unit(self) -> str | None:
        """``seconds``, ``milliseconds``, ``microseconds`` or ``nanoseconds`` since 1970; None for other times."""
        name = next(name for name, below, _ in UNITS if self.median < below)
        return name if self.median >= EARLIEST else None

    @cached_property
    def per_second(self) -> float:
        """Units per second; 1 if the unit is unknown."""
        return next((per for name, _, per in UNITS if name == self.unit), 1.0)

    @cached_property
    def limits(self) -> tuple[float, float]:
        """Range of times that are accepted without further checks."""
        if self._has_base():
            return self.median / NEAR, self.median * NEAR
        return -math.inf, 100 * self.last if self.last > 0 else math.inf

    def _has_base(self) -> bool:
        """Whether the times are large relative to their span, like dates, so that another unit is noticeable."""
        return self.unit is not None or (self.first > 0 and self.last <= 4 * self.first and self.median > 1000)

    def check(self, times: NDArray[np.float64], where: str) -> None:
        """Raise an error for times in another unit.

        Args:
            times: times, NaN if missing, [n].
            where: their location, for the message.

        Raises:
            LongInterestError: with the factor, if another unit is recognised. Other times far from the training's are
                logged once per model.
        """
        low, high = self.limits
        odd = times[(times < low) | (times > high)]
        if not len(odd):
            return
        where = f"{where}: {len(odd):,} of {len(times):,} times" if len(times) > 1 else f"{where}: the time"
        span = f"the training's are {self.unit or 'numbers'} from {_number(self.first)} to {_number(self.last)}"
        later = odd[odd > 0]
        later = later[:: max(1, len(later) // SAMPLE)]  # a sample is enough to detect the unit
        found = self._dates_in(later)
        for value in (np.sort(later)[len(later) // 2], later[0], later.max()) if len(later) else ():
            found = found or self._other_unit(float(value), later)
        if found is None:
            if "far" not in self._warned:
                self._warned.append("far")
                getLogger().warning(
                    f"{printable(where)} are far from the training's ({_number(float(odd[0]))}): {span}."
                )
            return
        name, factor, example = found
        way_out = "Give ISO dates (2020-07-31), or times in the training's unit."
        if factor:
            way_out = f"Multiply by {_number(factor)}." if factor > 1 else f"Divide by {_number(round(1 / factor))}."
        raise LongInterestError(f"{where}, {_number(example)} for one, may be {name}, and {span}. {way_out}")

    def _other_unit(self, time: float, times: NDArray[np.float64]) -> "tuple[str, float, float] | None":
        """Guess the unit of a positive time: (unit, factor to the training's unit, time); None if unclear."""
        if not self._has_base():
            over = time / self.last
            near = [factor for factor in (1e3, 1e6, 1e9) if factor / 10 < over <= 4 * factor]
            return (f"in a unit {_number(near[0])} times smaller", 1 / near[0], time) if near else None
        if self.unit is None:  # for example days or hours since 1970
            smaller, larger = (60.0, 1e3, 3600.0, 86400.0, 1e6, 86400e3, 1e9), (60.0, 3600.0, 86400.0)
            named = {f"in a unit {_number(factor)} times smaller": 1 / factor for factor in smaller}
            named |= {f"in a unit {_number(factor)} times larger": factor for factor in larger}
        else:
            named = {name: self.per_second / per for name, _, per in UNITS if name != self.unit}
            named |= {name: self.per_second * seconds for name, seconds in COARSE.items()}
        # Separate logarithms, because the product can underflow to 0.
        off = {name: abs(math.log(time) + math.log(factor / self.median)) for name, factor in named.items()}
        name = min(off, key=off.__getitem__)
        if off[name] > math.log(NEAR):
            return None
        since_1900 = (time - EXCEL) * COARSE["days"] * self.per_second
        excel = name == "days" and since_1900 > 0 and abs(math.log(since_1900 / self.median)) < off[name]
        if name in COARSE:
            # Times with another origin may look like hours, but then few of them fall near the training's years.
            around = 20 * YEAR * self.per_second
            moved = (times - EXCEL * excel) * named[name]
            if ((moved > self.first - around) & (moved < self.last + around)).mean() < 0.9:
                return None
        if excel:
            return "days since 1900, as Excel's", 0.0, time
        return name, named[name], time

    def _dates_in(self, times: NDArray[np.float64]) -> "tuple[str, float, float] | None":
        """Detect dates written as numbers, such as 20200731, if nearly all positive times are such dates."""
        if self.unit is None or not len(times):
            return None
        year = round(1970 + self.median / self.per_second / YEAR)
        texts = [f"{time:.0f}" if time == math.floor(time) else "" for time in times.tolist()]
        form = DIGITS.get(len(texts[0]), "")
        dated = sum(_is_date(text, form, year) for text in texts) if form else 0
        name = FORMS.get(form, "")
        return (f"dates written as {name}", 0.0, float(times[0])) if dated and dated >= 0.9 * len(texts) else None

    # --- dates -------------------------------------------------------------------------------------------------------

    def of_seconds(self, seconds: NDArray[np.float64], where: str) -> NDArray[np.float64]:
        """Convert seconds since 1970 to the training's unit.

        Raises:
            LongInterestError: if the training's times do not count from 1970.
        """
        if self.unit is None:
            raise LongInterestError(
                f"{where} has dates, but the training's times are numbers from {_number(self.first)} to "
                f"{_number(self.last)}, which are not dates. Give times in the same form as the training data."
            )
        return seconds * self.per_second

    def date_of(self, value: float) -> str:
        """Convert a time to an ISO date; "" if it is missing, or the training's times do not count from 1970."""
        if self.unit is None or not math.isfinite(value):
            return ""
        try:
            return (EPOCH + timedelta(seconds=value / self.per_second)).date().isoformat()
        except OverflowError:
            return ""


def training_times(about: Mapping[str, Any]) -> TrainingTimes | None:
    """Read the training's times from an export's ``about``; None for older exports, or data without times.

    Raises:
        LongInterestError: for values that are not finite numbers in ascending order.
    """
    given = about.get("times")
    if given is None:
        return None
    named = given if isinstance(given, Mapping) else {}
    values: list[Any] = [named.get(name) for name in ("first", "median", "last")]
    if not all(type(value) in (int, float) and math.isfinite(value) for value in values) or values != sorted(values):
        raise LongInterestError(f"times of the training must be first, median and last; got {given!r:.100}.")
    return TrainingTimes(*map(float, values))


def times_in_about(times: NDArray[Any]) -> dict[str, float] | None:
    """Convert a training's times, [n], to the form that :func:`training_times` reads; None without times."""
    found = TrainingTimes.of(times)
    return None if found is None else {"first": found.first, "median": found.median, "last": found.last}


def _is_date(text: str, form: str, year: int) -> bool:
    """Whether a text is a date in a format, within sixty years of a given year."""
    try:
        return abs(datetime.strptime(text, form).year - year) < 60
    except ValueError:
        return False


def _number(value: float) -> str:
    return f"{value:.0f}" if value == math.floor(value) and abs(value) < 1e20 else f"{value:g}"
