"""Times of any usual form to exact nanoseconds, and back to the seconds of an atomic file."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError

NANO = 10**9
# A number's magnitude says its unit: seconds reach 10^11 in the year 5138, milliseconds were below it before 1973.
UNITS = (("seconds", 10**11, NANO), ("milliseconds", 10**14, 10**6), ("microseconds", 10**17, 10**3))
ISO, FORMATTED = "ISO dates", "dates of the given format"
NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
MISSING = np.iinfo(np.int64).min
DECIMALS = (0, 3, 6, 9)

Bools = NDArray[np.bool_]


def parse_times(
    column: pa.Array,
    forms: Counter[str],
    time_format: str | None = None,
) -> tuple[NDArray[np.int64], Bools, Bools]:
    """Times from a column.

    Numbers are seconds, milliseconds, microseconds or nanoseconds since 1970 by their magnitude. Dates are ISO 8601, in
    UTC unless they name an offset.

    Args:
        column: strings, numbers, dates or timestamps, [n].
        forms: counts the forms found.
        time_format: of the dates, in place of all that; as in ``datetime.strptime``.

    Returns:
        Nanoseconds since 1970, [n]; where there is no time; where it is before 1970 or too late for 64 bits. Of a row
        of the last two the time means nothing.
    """
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        forms["timestamps of the file"] += len(column) - column.null_count
        unit = kind.unit if pa.types.is_timestamp(kind) else "ms"
        per = {"s": NANO, "ms": 10**6, "us": 10**3, "ns": 1}[unit]
        whole = pc.cast(column, pa.timestamp(unit, getattr(kind, "tz", None))).cast(pa.int64())
        return _scaled(_numbers(whole, 0), np.full(len(column), per), _nulls(column))
    if time_format is not None:
        if pa.types.is_floating(kind) and pc.all(pc.equal(pc.floor(column), column)).as_py():  # 20200131.0
            column = column.cast(pa.int64())
        return _of_dates(column.cast(pa.large_string()), forms, time_format)
    if pa.types.is_integer(kind):
        return _of_integers(_numbers(column, 0), _nulls(column), forms)
    if pa.types.is_floating(kind):
        return _of_floats(_numbers(column, np.nan), forms)
    strings = column.cast(pa.large_string())
    try:
        return _of_integers(_numbers(strings.cast(pa.int64()), 0), _nulls(strings), forms)
    except pa.ArrowInvalid:
        return _of_mixed(strings, forms)


def _numbers(column: pa.Array, missing: float) -> NDArray[Any]:
    return pc.fill_null(column, missing).to_numpy(zero_copy_only=False)


def _nulls(column: pa.Array) -> Bools:
    return pc.is_null(column).to_numpy(zero_copy_only=False)


def _of_integers(values: NDArray[Any], missing: Bools, forms: Counter[str]) -> tuple[NDArray[np.int64], Bools, Bools]:
    values = values.astype(np.int64)
    per = np.ones(len(values), dtype=np.int64)
    left = ~missing
    for name, below, nanoseconds in UNITS:
        these = left & (values < below)
        forms[name] += int(these.sum())
        per[these] = nanoseconds
        left &= ~these
    forms["nanoseconds"] += int(left.sum())
    return _scaled(values, per, missing)


def _scaled(values: NDArray[Any], per: NDArray[Any], missing: Bools) -> tuple[NDArray[np.int64], Bools, Bools]:
    outside = ~missing & ((values < 0) | (values > np.iinfo(np.int64).max // per))
    return np.where(missing | outside, MISSING, values * per), missing, outside


def _of_floats(values: NDArray[np.float64], forms: Counter[str]) -> tuple[NDArray[np.int64], Bools, Bools]:
    """Numbers with a fraction, exact to the microsecond; without one as whole numbers."""
    missing = ~np.isfinite(values)
    whole = ~missing & (values == np.floor(values)) & (np.abs(values) < 2.0**63)
    times, _, outside = _of_integers(np.where(whole, values, 0.0), ~whole, forms)
    part = ~missing & ~whole
    outside = outside | (part & ((values < 0) | (np.abs(values) >= UNITS[-1][1])))
    for name, below, nanoseconds in UNITS:
        these = part & ~outside & (values < below)
        forms[name] += int(these.sum())
        scale = max(nanoseconds // 1000, 1)
        times[these] = np.round(values[these] * scale).astype(np.int64) * (nanoseconds // scale)
        part = part & ~these
    return times, missing, outside


def _of_mixed(strings: pa.Array, forms: Counter[str]) -> tuple[NDArray[np.int64], Bools, Bools]:
    """Whole numbers, other numbers and dates, each in its way."""
    filled = pc.fill_null(strings, "")
    whole = _mask(filled, r"^\s*\+?(\d{1,18}|[1-8]\d{18})\s*$")
    number = _mask(filled, NUMBER) & ~whole
    date = ~whole & ~number
    times = np.full(len(strings), MISSING)
    missing, outside = np.zeros(len(strings), dtype=bool), np.zeros(len(strings), dtype=bool)
    if whole.any():
        digits = pc.utf8_ltrim(pc.utf8_trim_whitespace(filled.filter(pa.array(whole))), "+")
        values = _numbers(digits.cast(pa.int64()), 0)
        times[whole], missing[whole], outside[whole] = _of_integers(values, np.zeros(len(values), dtype=bool), forms)
    if number.any():
        floats = np.array([float(text) for text in filled.filter(pa.array(number)).to_pylist()])
        times[number], missing[number], outside[number] = _of_floats(floats, forms)
        outside[number] |= np.isinf(floats)
        missing[number] &= ~np.isinf(floats)
    if date.any():
        times[date], missing[date], outside[date] = _of_dates(filled.filter(pa.array(date)), forms, None)
    return times, missing, outside


def _mask(strings: pa.Array, pattern: str) -> Bools:
    return pc.match_substring_regex(strings, pattern).to_numpy(zero_copy_only=False)


def _of_dates(
    strings: pa.Array,
    forms: Counter[str],
    time_format: str | None,
) -> tuple[NDArray[np.int64], Bools, Bools]:
    texts = pd.Series(pc.utf8_trim_whitespace(pc.fill_null(strings, "")).to_pylist(), dtype=object)
    try:
        dates = pd.to_datetime(texts, format=time_format or "ISO8601", utc=True, errors="coerce")
    except ValueError as error:
        raise LongInterestError(
            f"--time-format must be a format of datetime.strptime; got {time_format!r}: {error}"
        ) from error
    missing = dates.isna().to_numpy()
    forms[FORMATTED if time_format else ISO] += int((~missing).sum())
    plain = dates.dt.tz_localize(None)
    try:
        nano = plain.dt.as_unit("ns").to_numpy().astype(np.int64)
        return _scaled(np.where(missing, 0, nano), np.ones(len(nano), dtype=np.int64), missing)
    except pd.errors.OutOfBoundsDatetime:  # some of the year 2263 or later
        micro = plain.to_numpy(dtype="datetime64[us]").astype(np.int64)
    return _scaled(np.where(missing, 0, micro), np.full(len(micro), 10**3), missing)


def decimals_of(times: NDArray[np.int64]) -> int:
    """Decimals that times in seconds need, for the one that needs most: 0, 3, 6 or 9.

    Args:
        times: nanoseconds since 1970, [n].
    """
    return next(decimals for decimals in DECIMALS if not (times % 10 ** (9 - decimals)).any())


def in_seconds(times: NDArray[np.int64], decimals: int) -> pa.Array:
    """Nanoseconds as the seconds of an atomic file: digits only, no exponent and nothing rounded.

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
