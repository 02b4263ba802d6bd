"""ISO dates in the forms that every Python reads."""

from datetime import datetime, timedelta, timezone

import pytest

from recbole_longinterest.common.dates import iso_date

UTC = timezone.utc


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-31", datetime(2024, 1, 31)),
        (" 20240131 ", datetime(2024, 1, 31)),
        ("2024-02", datetime(2024, 2, 1)),
        ("2024-01-31 12:30", datetime(2024, 1, 31, 12, 30)),
        ("2024-01-31T12:30:00.5Z", datetime(2024, 1, 31, 12, 30, 0, 500_000, UTC)),
        ("2024-01-31T12:30:00z", datetime(2024, 1, 31, 12, 30, tzinfo=UTC)),
        ("2024-01-31T12:30:00+0130", datetime(2024, 1, 31, 12, 30, tzinfo=timezone(timedelta(hours=1.5)))),
        ("2024-01-31T12:30:00.123456789", datetime(2024, 1, 31, 12, 30, 0, 123_456)),
    ],
)
def test_a_date(text: str, moment: datetime) -> None:
    assert iso_date(text) == moment


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2024-1-1", "2024-13-01", "2024-01-31x", "31.01.2024", "2024", "9999-12-31T24:00", "²024-01-01"],
)
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(ValueError):
        iso_date(text)
