"""Times of all forms are exact."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_longinterest.prepare.cleaning.times import decimals_of, in_seconds, parse_times


def parse(*values: str | None, time_format: str | None = None) -> tuple[list[str | None], dict[str, int]]:
    forms: Counter[str] = Counter()
    times, missing, outside = parse_times(pa.array(values, pa.large_string()), forms, time_format)
    usable = ~(missing | outside)
    texts = iter(in_seconds(times[usable], decimals_of(times[usable])).to_pylist())
    return [next(texts) if good else None for good in usable], {form: n for form, n in forms.items() if n}


@pytest.mark.parametrize(
    ("value", "expected", "form"),
    [
        ("1700000001", "1700000001", "seconds"),
        ("0", "0", "seconds"),
        ("1700000000123", "1700000000.123", "milliseconds"),
        ("1700000000123456", "1700000000.123456", "microseconds"),
        ("1700000000123456789", "1700000000.123456789", "nanoseconds"),
        ("1700000000.5", "1700000000.500", "seconds"),
        ("1.7e9", "1700000000", "seconds"),
        ("2017-12-17", "1513468800", "ISO dates"),
        ("2017-12-17 00:00:01", "1513468801", "ISO dates"),
        ("2017-12-17T02:00:00+02:00", "1513468800", "ISO dates with an offset"),
        ("2017-12-17T00:00:00.250Z", "1513468800.250", "ISO dates with an offset"),
        ("", None, None),
        ("yesterday", None, None),
        ("2017-02-30", None, None),
        ("-5", None, "seconds"),
        ("99999999999999999999", None, None),
        ("nan", None, None),
    ],
)
def test_forms(value: str, expected: str | None, form: str | None) -> None:
    for others in ((), ("x",), ("2001-01-01",)):  # alone in a column of numbers, and among others
        (text, *_), forms = parse(value, *others)
        assert text == expected or (others and expected is not None and float(text or -1) == float(expected))
        if form is not None:
            assert form in forms


def test_a_given_format_is_the_only_one() -> None:
    assert parse("31.12.2020", "2020-12-31", time_format="%d.%m.%Y")[0] == ["1609372800", None]


def test_a_given_format_is_for_numbers_too() -> None:
    for column in (pa.array([20200131, None]), pa.array([20200131.0, None])):
        times, missing, _ = parse_times(column, Counter(), "%Y%m%d")
        assert times[0] == 1580428800 * 10**9 and missing.tolist() == [False, True]


def test_nanoseconds_beside_an_empty_cell_and_in_dates_are_exact() -> None:
    assert parse("1700000000123456789", "1700000000123456889", "")[0][:2] == [
        "1700000000.123456789",
        "1700000000.123456889",
    ]
    assert parse("2017-12-17T00:00:00.123456789Z", "")[0][0] == "1513468800.123456789"


@given(st.lists(st.integers(0, 2**62), min_size=1))
def test_no_digit_is_lost(times: list[int]) -> None:
    array = np.array(times, dtype=np.int64)
    decimals = decimals_of(array)
    for time, text in zip(times, in_seconds(array, decimals).to_pylist(), strict=True):
        whole, _, part = text.partition(".")
        assert int(whole) * 10**9 + int((part or "0").ljust(9, "0")) == time and len(part) == decimals
