"""Convert times of all common formats to exact nanoseconds, and back to the seconds of an atomic file."""

from collections import Counter
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.cleaning.number_dates import FORMATS, MISSING, NAMED, NANO, WAYS, decode, find_format

# The magnitude of a number shows its unit: seconds reach 10^11 in the year 5138, milliseconds passed it in 1973.
UNITS = (("seconds", 10**11, NANO), ("milliseconds", 10**14, 10**6), ("microseconds", 10**17, 10**3))
ISO, OFFSET, FORMATTED = "ISO dates", "ISO dates with an offset", "dates of the given format"
NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
WHOLE = r"^\s*\+?(\d{1,18}|[1-8]\d{18})\s*$"
HAS_OFFSET = r"\d[Tt ]\d{2}(:?\d{2}){0,2}([.,]\d+)?\s*([Zz]|[+-]\d{2}(:?\d{2})?)\s*$"  # after a time of day
SAMPLE = 10_000  # number of times used to detect the format of a file
DECIMALS = (0, 3, 6, 9)

Bools = NDArray[np.bool_]


def parse_times(
    column: pa.Array, forms: Counter[str], time_format: str | None = None, number_format: str | None = None
) -> tuple[NDArray[np.int64], Bools, Bools]:
    """Parse a column of times.

    Numbers are seconds, milliseconds, microseconds or nanoseconds since 1970 by their magnitude. Dates are ISO 8601, in
    UTC unless they name an offset.

    Args:
        column: strings, numbers, dates or timestamps, [n].
        forms: counts of the formats found.
        time_format: a ``datetime.strptime`` format, or a unit of ``number_dates.NAMED``; None to detect the format.
        number_format: format of numeric times, from :func:`number_format_of`.

    Returns:
        Nanoseconds since 1970, [n]; mask of missing times, [n]; mask of times before 1970 or beyond 64 bits, [n].
        Where a mask is set, the time has no meaning.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        forms["timestamps of the file"] += len(column) - column.null_count
        unit = kind.unit if pa.types.is_timestamp(kind) else "ms"
        per = {"s": NANO, "ms": 10**6, "us": 10**3, "ns": 1}[unit]
        whole = pc.cast(column, pa.timestamp(unit, getattr(kind, "tz", None))).cast(pa.int64())
        return _scaled(_numbers(whole, 0), np.full(len(column), per), _nulls(column))
    if time_format is not None and time_format not in NAMED:
        return _of_dates(_digits(column, time_format), forms, time_format)
    reads = _Numbers(forms, time_format, number_format)
    if pa.types.is_integer(kind):
        return reads.whole(_numbers(column, 0), _nulls(column))
    if pa.types.is_floating(kind):
        return reads.parts(_numbers(column.cast(pa.float64()), np.nan))
    strings = column.cast(pa.large_string())
    try:
        return reads.whole(_numbers(strings.cast(pa.int64()), 0), _nulls(strings))
    except pa.ArrowInvalid:
        return _of_mixed(strings, forms, reads)


def number_format_of(column: pa.Array, where: str) -> str | None:
    """Detect the format of a file's numeric times: one of ``number_dates.FORMATS``, None for Unix times.

    Args:
        column: the first times of the file, [n].
        where: file and column, for the message.

    Raises:
        LongInterestError: for ambiguous numbers.
    """
    if len(column) > SAMPLE:
        column = column.take(pa.array(np.linspace(0, len(column) - 1, SAMPLE).astype(np.int64)))
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        values = _numbers(column.cast(pa.float64(), safe=False), np.nan)
    else:
        try:
            strings = column.cast(pa.large_string())
            values = _numbers(strings.cast(pa.int64()), 0)
        except pa.ArrowInvalid:
            numbers = strings.filter(pc.match_substring_regex(strings, NUMBER))
            values = np.array([float(text) for text in numbers.to_pylist()])
        except pa.ArrowException:  # timestamps, which have a type
            return None
    return find_format(values[np.isfinite(values)], where)


def _numbers(column: pa.Array, missing: float) -> NDArray[Any]:
    return pc.fill_null(column, missing).to_numpy(zero_copy_only=False)


def _nulls(column: pa.Array) -> Bools:
    return pc.is_null(column).to_numpy(zero_copy_only=False)


class _Numbers:
    """Parser of numeric times.

    Args:
        forms: counts of the formats found.
        unit: a unit of ``number_dates.NAMED``; None to infer it from each number's magnitude.
        date_format: a format of ``number_dates.FORMATS``, for dates that are written as numbers.
    """

    def __init__(self, forms: Counter[str], unit: str | None, date_format: str | None) -> None:
        self.forms = forms
        self.unit = unit
        self.date_format = date_format

    def whole(self, values: NDArray[Any], missing: Bools) -> tuple[NDArray[np.int64], Bools, Bools]:
        """Parse whole numbers, [n]."""
        values = values.astype(np.int64)
        if self.unit is not None:
            per, zero = NAMED[self.unit]
            self.forms[self.unit] += int((~missing).sum())
            return _scaled(values - zero, np.full(len(values), per), missing)
        if self.date_format is not None:
            times = decode(values, FORMATS[self.date_format])
            unreadable = missing | (times == MISSING)
            self.forms[f"dates written as {self.date_format}"] += int((~unreadable).sum())
            return _scaled(times, np.ones(len(times), dtype=np.int64), unreadable)
        per_value = np.ones(len(values), dtype=np.int64)
        left = ~missing
        for name, below, nanoseconds in UNITS:
            these = left & (values < below)
            self.forms[name] += int(these.sum())
            per_value[these] = nanoseconds
            left &= ~these
        self.forms["nanoseconds"] += int(left.sum())
        return _scaled(values, per_value, missing)

    def parts(self, values: NDArray[np.float64]) -> tuple[NDArray[np.int64], Bools, Bools]:
        """Parse floats, exact to the microsecond; floats without a fraction are parsed as whole numbers."""
        missing = ~np.isfinite(values)
        whole = ~missing & (values == np.floor(values)) & (np.abs(values) < 2.0**63)
        times, unreadable, outside = self.whole(np.where(whole, values, 0.0), ~whole)
        part = ~missing & ~whole
        missing |= whole & unreadable
        if self.date_format is not None:
            return times, missing | part, outside
        if self.unit is not None:
            per, zero = NAMED[self.unit]
            self.forms[self.unit] += int(part.sum())
            moved = values - zero
            outside = outside | (part & ((moved < 0) | (moved > np.iinfo(np.int64).max / per)))
            these = part & ~outside
            days = np.floor(moved[these])
            fraction = np.round((moved[these] - days) * (per / 1000)).astype(np.int64) * 1000
            times[these] = days.astype(np.int64) * per + fraction
            return times, missing, outside
        outside = outside | (part & ((values < 0) | (np.abs(values) >= UNITS[-1][1])))
        for name, below, nanoseconds in UNITS:
            these = part & ~outside & (values < below)
            self.forms[name] += int(these.sum())
            scale = max(nanoseconds // 1000, 1)
            times[these] = np.round(values[these] * scale).astype(np.int64) * (nanoseconds // scale)
            part = part & ~these
        return times, missing, outside


def _scaled(values: NDArray[Any], per: NDArray[Any], missing: Bools) -> tuple[NDArray[np.int64], Bools, Bools]:
    outside = ~missing & ((values < 0) | (values > np.iinfo(np.int64).max // per))
    return np.where(missing | outside, MISSING, values * per), missing, outside


def _of_mixed(strings: pa.Array, forms: Counter[str], reads: _Numbers) -> tuple[NDArray[np.int64], Bools, Bools]:
    """Parse a column that mixes whole numbers, other numbers and dates."""
    filled = pc.fill_null(strings, "")
    whole = _mask(filled, WHOLE)
    number = _mask(filled, NUMBER) & ~whole
    date = ~whole & ~number
    times = np.full(len(strings), MISSING)
    missing, outside = np.zeros(len(strings), dtype=bool), np.zeros(len(strings), dtype=bool)
    if whole.any():
        digits = pc.utf8_ltrim(pc.utf8_trim_whitespace(filled.filter(pa.array(whole))), "+")
        values = _numbers(digits.cast(pa.int64()), 0)
        times[whole], missing[whole], outside[whole] = reads.whole(values, np.zeros(len(values), dtype=bool))
    if number.any():
        floats = np.array([float(text) for text in filled.filter(pa.array(number)).to_pylist()])
        times[number], missing[number], outside[number] = reads.parts(floats)
        outside[number] |= np.isinf(floats)
        missing[number] &= ~np.isinf(floats)
    if date.any() and reads.unit is not None:  # with a named unit, dates are not accepted
        missing[date] = True
    elif date.any():
        times[date], missing[date], outside[date] = _of_dates(filled.filter(pa.array(date)), forms, None)
    return times, missing, outside


def _mask(strings: pa.Array, pattern: str) -> Bools:
    return pc.match_substring_regex(strings, pattern).to_numpy(zero_copy_only=False)


def _digits(column: pa.Array, time_format: str) -> pa.Array:
    """Convert to strings for ``strptime``: drop the ``.0`` of whole floats, restore leading zeros of numbers."""
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        strings = column.cast(pa.large_string())
        return strings if "." in time_format else pc.replace_substring_regex(strings, r"^\s*(\d+)\.0+\s*$", r"\1")
    if pa.types.is_floating(column.type):
        column = column.cast(pa.float64())
        whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), 2.0**63))
        if not pc.all(pc.or_(pc.fill_null(whole, True), pc.is_nan(column))).as_py():
            return column.cast(pa.large_string())
        column = pc.if_else(whole, column, None).cast(pa.int64())
    width = len(datetime(2020, 12, 31).strftime(time_format.replace("%f", "000")))
    return pc.utf8_lpad(column.cast(pa.large_string()), width, "0")


def _of_dates(
    strings: pa.Array,
    forms: Counter[str],
    time_format: str | None,
) -> tuple[NDArray[np.int64], Bools, Bools]:
    texts = pd.Series(pc.utf8_trim_whitespace(pc.fill_null(strings, "")).to_pylist(), dtype=object)
    try:
        dates = pd.to_datetime(texts, format=time_format or "ISO8601", utc=True, errors="coerce")
    except ValueError as error:
        raise LongInterestError(f"--time-format must be {WAYS}; got {time_format!r}: {error}") from error
    missing = dates.isna().to_numpy()
    if time_format is None:
        offset = _mask(pc.fill_null(strings, ""), HAS_OFFSET) & ~missing
        forms[OFFSET] += int(offset.sum())
        forms[ISO] += int((~missing & ~offset).sum())
    else:
        forms[FORMATTED] += int((~missing).sum())
    plain = dates.dt.tz_localize(None)
    try:
        nano = plain.dt.as_unit("ns").to_numpy().astype(np.int64)
        return _scaled(np.where(missing, 0, nano), np.ones(len(nano), dtype=np.int64), missing)
    except pd.errors.OutOfBoundsDatetime:  # some of the year 2263 or later
        micro = plain.to_numpy(dtype="datetime64[us]").astype(np.int64)
    return _scaled(np.where(missing, 0, micro), np.full(len(micro), 10**3), missing)


def decimals_of(times: NDArray[np.int64]) -> int:
    """Number of decimals needed to write all times in seconds exactly: 0, 3, 6 or 9.

    Args:
        times: nanoseconds since 1970, [n].
    """
    return next(decimals for decimals in DECIMALS if not (times % 10 ** (9 - decimals)).any())


def in_seconds(times: NDArray[np.int64], decimals: int) -> pa.Array:
    """Format nanoseconds as seconds for an atomic file: no exponent, no rounding.

    Args:
        times: nanoseconds since 1970, [n].
        decimals: from :func:`decimals_of` these times and others.

    Returns:
        Strings, [n].
    """
    whole = pa.array(times // NANO).cast(pa.large_string())
    if decimals == 0:
        return whole
    part = pc.utf8_lpad(pa.array(times % NANO // 10 ** (9 - decimals)).cast(pa.large_string()), decimals, "0")
    return pc.binary_join_element_wise(whole, part, pa.scalar(".", pa.large_string()))
