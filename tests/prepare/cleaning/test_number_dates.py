"""Times that are numbers: dates without separators, days, named units; recognised, or refused by name."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.cleaning.number_dates import FORMATS, MISSING, NAMED, UNCLEAR, decode, find_format
from recbole_longinterest.prepare.cleaning.times import number_format_of, parse_times

DAY = 86_400
JULY_31 = 1_596_153_600  # 2020
TIMES = ("--user", "u", "--item", "i", "--time", "t")
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2037, 12, 31))


@given(st.sampled_from(sorted({**FORMATS, **UNCLEAR})), st.lists(MOMENTS, min_size=1))
def test_every_format_is_read_as_strptime_does(name: str, moments: list[datetime]) -> None:
    texts = [moment.strftime(name.removesuffix("%f")) + ("123" if "%f" in name else "") for moment in moments]
    expected = [datetime.strptime(text, name).replace(tzinfo=timezone.utc).timestamp() for text in texts]
    times = decode(np.array([int(text) for text in texts]), {**FORMATS, **UNCLEAR}[name])
    assert (times // 10**6).tolist() == [round(second * 1000) for second in expected]


@pytest.mark.parametrize("value", [20200230, 20201301, 20200100, 99999999, -20200101, 18991231, 21010101])
def test_no_such_day(value: int) -> None:
    assert decode(np.array([value]), FORMATS["%Y%m%d"])[0] == MISSING


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ([20200731, 20200801], "%Y%m%d"),
        ([20200731.0, 20200801.0], "%Y%m%d"),
        ([202007, 202008], "%Y%m"),
        ([2020073112, 2020073113], "%Y%m%d%H"),
        ([202007311230, 202007311231], "%Y%m%d%H%M"),
        ([20200731123000, 20200731123001], "%Y%m%d%H%M%S"),
        ([20200731123000123], "%Y%m%d%H%M%S%f"),
        ([*range(20200801, 20200831), 0, -1, 99999999], "%Y%m%d"),  # words for no date
        ([1_596_153_600, 1_596_240_000], None),
        ([1_596_153_600_000], None),
        ([*range(20_000_000, 20_010_000)], None),  # seconds of a clock that began at 0
        ([*range(1, 50_000, 7)], None),
        ([1, 2, 3], None),
        ([], None),
    ],
)
def test_dates_are_told_from_seconds(values: list[float], name: str | None) -> None:
    assert find_format(np.array(values, dtype=float), "log.csv, column t") == name


@pytest.mark.parametrize(
    ("values", "ways"),
    [
        ([31072020, 1082020], "--time-format %d%m%Y;"),
        ([7312020, 8012020], "--time-format %m%d%Y;"),
        ([200731, 200801], "--time-format %y%m%d or --time-format %d%m%y;"),
        ([201001, 201012], "--time-format %Y%m or --time-format %y%m%d"),
        ([2020213, 2020214], "--time-format %Y%j;"),
        ([2019, 2020], "--time-format %Y;"),
        ([2007311230, 2007311231, 2007311232], "--time-format %y%m%d%H%M;"),
        (
            [44043, 44044.5],
            "44043 is 2020-07-31 in Excel. Give their format: --time-format excel or",
        ),
        ([18474, 18475], "18474 is 2020-07-31. Give their format: --time-format days or --time-format excel"),
        ([637_317_504_000_000_000], "--time-format ticks;"),
        ([132_405_408_000_000_000], "--time-format filetime;"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(values: list[float], ways: str) -> None:
    with pytest.raises(
        LongInterestError, match=r"log.csv, column t: the times, such as .*--time-format seconds"
    ) as error:
        find_format(np.array(values, dtype=float), "log.csv, column t")
    assert ways in str(error.value)


@pytest.mark.parametrize(
    ("unit", "value"),
    [
        ("seconds", JULY_31),
        ("milliseconds", JULY_31 * 1000),
        ("microseconds", JULY_31 * 10**6),
        ("nanoseconds", JULY_31 * 10**9),
        ("minutes", JULY_31 // 60),
        ("hours", JULY_31 // 3600),
        ("days", JULY_31 // DAY),
        ("excel", 44043),
        ("filetime", 132_406_272_000_000_000),
        ("ticks", 637_317_504_000_000_000),
    ],
)
def test_named_units(unit: str, value: int) -> None:
    assert set(NAMED) >= {unit}
    forms: Counter[str] = Counter()
    for column in (pa.array([value, None]), pa.array([str(value), "2020-07-31"])):
        times, missing, _ = parse_times(column, forms, unit)
        assert times[0] == JULY_31 * 10**9 and missing.tolist() == [False, True]
    assert forms == {unit: 2}


def test_days_of_excel_with_a_time_of_day() -> None:
    times, _, _ = parse_times(pa.array([44043.25, 44043.0]), Counter(), "excel")
    assert (times // 10**9).tolist() == [JULY_31 + DAY // 4, JULY_31]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([20200731, 20200801]),
        pa.array([20200731.0, 20200801.0]),
        pa.array(["20200731", "20200801"]),
        pa.array(["20200731.0", "20200801.0", ""]),
        pa.array(["2020-07-31", "20200801"]),
        pa.array(["20200731", "20200801", "soon", "NULL"]),
    ],
)
def test_columns_of_all_types(column: pa.Array) -> None:
    name = number_format_of(column, "x")
    times, _, _ = parse_times(column, Counter(), None, name)
    assert name == "%Y%m%d" and (times[:2] // 10**9).tolist() == [JULY_31, JULY_31 + DAY]


@pytest.mark.parametrize(
    "column", [pa.array([datetime(2020, 7, 31)]), pa.array([timedelta(1)]), pa.array(["x"]), pa.array([True])]
)
def test_columns_that_hold_no_numbers(column: pa.Array) -> None:
    assert number_format_of(column, "x") is None


def test_zeros_that_numbers_lack_before_a_format() -> None:
    for column in (pa.array([1082020, 31072020]), pa.array([1082020.0, float("nan")]), pa.array(["01082020.0"])):
        times, _, _ = parse_times(column, Counter(), "%d%m%Y")
        assert times[0] == (JULY_31 + DAY) * 10**9


def log(folder: Path, values: list[object]) -> Path:
    path = folder / "log.csv"
    path.write_text("u,i,t\n" + "".join(f"{'ab'[at % 2]},{at},{value}\n" for at, value in enumerate(values)))
    return path


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1, 2], "The times of 2 of 2 events are before 1990, the first on 1970-01-01; they were read as seconds."),
        ([4_102_444_800, JULY_31], "The times of 1 of 2 events are after"),
        (["2020-07-31", 20200801], "The times have 2 formats, which may reorder events: dates written as %Y%m%d: 1,"),
        (
            ["2020-07-31T00:00:00", "2020-07-31T00:00:00+02:00"],
            "The times have 2 formats, which may reorder events: ISO",
        ),
        (["2020-07-31", JULY_31], "The times have 2 formats, which may reorder events: seconds: 1, ISO dates: 1."),
        ([JULY_31, JULY_31 * 1000], "The times have 2 formats, which may reorder events: seconds: 1, milliseconds: 1."),
    ],
)
def test_odd_times_are_said(prepare: Callable, tmp_path: Path, values: list[object], said: str) -> None:
    done = prepare("csv", log(tmp_path, values), *TIMES)
    notes = [note for note in done.report()["notes"] if said in note]
    assert len(notes) == 1 and "--time-format" in notes[0] and said in done.out


def test_nothing_is_said_of_good_times(prepare: Callable, tmp_path: Path) -> None:
    done = prepare("csv", log(tmp_path, [JULY_31, JULY_31 + 1]), *TIMES)
    assert done.report()["notes"] == [] and "--time-format" not in done.out


def test_files_of_two_forms_are_read_each_in_its_own(prepare: Callable, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    one, other = log(tmp_path / "a", [20200731]), log(tmp_path, [JULY_31 + DAY])
    done = prepare("csv", one, other, *TIMES)
    assert [int(row["timestamp"]) for row in done.rows()] == [JULY_31, JULY_31 + DAY]
    assert "The times have 2 formats" in done.out


def test_a_format_that_is_none(prepare: Callable, tmp_path: Path) -> None:
    error = prepare("csv", log(tmp_path, [1]), *TIMES, "--time-format", "mins", fails=True).err
    assert "--time-format must be a format as in strptime (%d.%m.%Y), or one of seconds, milliseconds" in error
