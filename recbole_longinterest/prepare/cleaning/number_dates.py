"""Read numeric times other than Unix seconds: dates as whole numbers (20200731), Excel days, and named units.

A single number does not show its unit. Whether the numbers of a file are dates is decided from its whole first chunk:
hardly any Unix times would form a valid date.
"""

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError

NANO = 10**9
DAY = 86_400 * NANO
MISSING = np.iinfo(np.int64).min
SHARE = 0.9  # share of the numbers that must be such dates; the others then count as errors
FEWEST = 3  # minimum number of distinct values to distinguish dates from Unix seconds
YEARS = (1900, 2100)
EXCEL_1970 = 25_569  # days from Excel's day 0, 1899-12-30, to 1970
# Digits of a date written as a number, from the left: (field, number of digits).
FORMATS: Mapping[str, tuple[tuple[str, int], ...]] = {
    "%Y%m%d": (("Y", 4), ("m", 2), ("d", 2)),
    "%Y%m": (("Y", 4), ("m", 2)),
    "%Y%m%d%H": (("Y", 4), ("m", 2), ("d", 2), ("H", 2)),
    "%Y%m%d%H%M": (("Y", 4), ("m", 2), ("d", 2), ("H", 2), ("M", 2)),
    "%Y%m%d%H%M%S": (("Y", 4), ("m", 2), ("d", 2), ("H", 2), ("M", 2), ("S", 2)),
    "%Y%m%d%H%M%S%f": (("Y", 4), ("m", 2), ("d", 2), ("H", 2), ("M", 2), ("S", 2), ("f", 3)),
}
# Ambiguous formats: could be a counter, or have days before months.
UNCLEAR: Mapping[str, tuple[tuple[str, int], ...]] = {
    "%d%m%Y": (("d", 2), ("m", 2), ("Y", 4)),
    "%m%d%Y": (("m", 2), ("d", 2), ("Y", 4)),
    "%y%m%d": (("y", 2), ("m", 2), ("d", 2)),
    "%d%m%y": (("d", 2), ("m", 2), ("y", 2)),
    "%m%d%y": (("m", 2), ("d", 2), ("y", 2)),
    "%m%Y": (("m", 2), ("Y", 4)),
    "%Y%j": (("Y", 4), ("j", 3)),
    "%Y": (("Y", 4),),
    "%y%m%d%H%M": (("y", 2), ("m", 2), ("d", 2), ("H", 2), ("M", 2)),
    "%y%m%d%H%M%S": (("y", 2), ("m", 2), ("d", 2), ("H", 2), ("M", 2), ("S", 2)),
}
# Name for --time-format -> (nanoseconds per unit, value of 1970-01-01 in that unit).
NAMED: Mapping[str, tuple[int, int]] = {
    "seconds": (NANO, 0),
    "milliseconds": (10**6, 0),
    "microseconds": (10**3, 0),
    "nanoseconds": (1, 0),
    "minutes": (60 * NANO, 0),
    "hours": (3_600 * NANO, 0),
    "days": (DAY, 0),
    "excel": (DAY, EXCEL_1970),
    "filetime": (100, 116_444_736_000_000_000),  # of Windows: 100 ns since 1601
    "ticks": (100, 621_355_968_000_000_000),  # of .NET: 100 ns since the year 1
}
COUNTS_OF_100_NS = (("ticks", 627_667_488 * 10**9, 662_380_000 * 10**9), ("filetime", 122 * 10**15, 158 * 10**15))
WAYS = "a format as in strptime (%d.%m.%Y), or one of " + ", ".join(NAMED)


def decode(values: NDArray[np.int64], parts: tuple[tuple[str, int], ...]) -> NDArray[np.int64]:
    """Decode dates that are written as numbers.

    Args:
        values: the numbers, [n].
        parts: meaning of their digits, from :data:`FORMATS`.

    Returns:
        Nanoseconds since 1970, ``MISSING`` for numbers that are not such a date, [n].
    """
    found: dict[str, NDArray[np.int64]] = {}
    left = values.copy()
    for name, width in reversed(parts):
        found[name] = left % 10**width
        left //= 10**width
    good = (values >= 0) & (left == 0)
    if "y" in found:
        found["Y"] = found["y"] + np.where(found["y"] < 69, 2000, 1900)  # as strptime
    year, zero, one = found["Y"], np.zeros_like(values), np.ones_like(values)
    month, day = found.get("m", one), found.get("d", one)
    good &= (year >= YEARS[0]) & (year <= YEARS[1]) & (month >= 1) & (month <= 12)
    months = np.where(good, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (found.get("j", day) - 1)
    good &= (day >= 1) & (days.astype("datetime64[M]") == months if "j" not in found else days >= months)
    if "j" in found:
        good &= (found["j"] >= 1) & (days.astype("datetime64[Y]") == months.astype("datetime64[Y]"))
    hour, minute, second = (found.get(name, zero) for name in "HMS")
    good &= (hour <= 23) & (minute <= 59) & (second <= 59)
    clock = ((hour * 60 + minute) * 60 + second) * NANO + found.get("f", zero) * 10**6
    return np.where(good, days.astype(np.int64) * DAY + clock, MISSING)


def find_format(numbers: NDArray[Any], where: str) -> str | None:
    """Detect the date format of the numeric times of a file.

    Args:
        numbers: finite numbers, whole or not, [n].
        where: file and column, for the message.

    Returns:
        One of :data:`FORMATS`; None for seconds and their fractions.

    Raises:
        LongInterestError: for ambiguous numbers that may be dates, days or ticks.
    """
    values = np.unique(np.floor(numbers[np.abs(numbers) < 2.0**63]).astype(np.int64))
    values = values[values > 0]
    if not len(values):
        return None
    first = int(values[0])
    good = [name for name, parts in FORMATS.items() if _share(values, parts) >= SHARE]
    unclear = [name for name, parts in UNCLEAR.items() if _unclear(values, name, parts)]
    if good and (good[0] != "%Y%m" or not unclear):
        return good[0]
    if good or unclear:
        names = [*good, *unclear]
        example = values[_fits(values, {**FORMATS, **UNCLEAR}[names[0]])][0]
        raise _ambiguous(where, example, "may be dates without separators", names)
    if _all(values, 32_874, 73_050):  # 1990 to 2100 for Excel
        day = datetime.fromtimestamp((first - EXCEL_1970) * 86_400, tz=timezone.utc)
        raise _ambiguous(where, first, f"may be days: {first} is {day:%Y-%m-%d} in Excel", ["excel", "days"])
    if _all(values, 7_305, 32_873):  # 1990 to 2059
        day = datetime.fromtimestamp(first * 86_400, tz=timezone.utc)
        raise _ambiguous(where, first, f"may be days since 1970: {first} is {day:%Y-%m-%d}", ["days", "excel"])
    for name, low, high in COUNTS_OF_100_NS:
        if _all(values, low, high):
            raise _ambiguous(where, first, "may be counts of 100 nanoseconds", [name])
    return None


def _ambiguous(where: str, example: int, what: str, names: list[str]) -> LongInterestError:
    ways = " or ".join(f"--time-format {name}" for name in names)
    return LongInterestError(
        f"{where}: the times, such as {example}, {what}. Give their format: {ways}; or --time-format seconds if they "
        "are seconds since any moment."
    )


def _fits(values: NDArray[np.int64], parts: tuple[tuple[str, int], ...]) -> NDArray[np.bool_]:
    width = sum(digits for _, digits in parts)
    long_enough = values >= 10 ** (width - 1 - (parts[0][0] != "Y"))  # a day or month before 10 has no leading zero
    return long_enough & (decode(values, parts) != MISSING)


def _share(values: NDArray[np.int64], parts: tuple[tuple[str, int], ...]) -> float:
    return float(_fits(values, parts).mean())


def _unclear(values: NDArray[np.int64], name: str, parts: tuple[tuple[str, int], ...]) -> bool:
    """Whether so many numbers are valid dates of an ambiguous format that they are unlikely to be Unix seconds."""
    if _share(values, parts) < SHARE:
        return False
    if name == "%Y":
        return _all(values, 1990, datetime.now(timezone.utc).year + 1)
    return len(values) >= FEWEST or name not in ("%y%m%d%H%M", "%y%m%d%H%M%S")


def _all(values: NDArray[np.int64], low: int, high: int) -> bool:
    return bool(((values >= low) & (values <= high)).mean() >= SHARE)
