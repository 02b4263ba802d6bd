"""Filters drop what they say, in the order that the report says, and no more."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recbole_longinterest.prepare import filters
from recbole_longinterest.prepare.cleaning.times import NANO
from recbole_longinterest.prepare.events import Events
from recbole_longinterest.prepare.filters import Filters, day


def log(rows: list[tuple], behaviors: bool = False) -> Events:
    """Events of (user, item, second, rating, behaviour) with small numbers."""
    user, item, second, rating, behavior = (np.array(column) for column in zip(*rows, strict=True))
    return Events(
        **{"user": user.astype(np.int32), "item": item.astype(np.int32), "time": second.astype(np.int64) * NANO},
        **{"rating": rating.astype(np.float64), "behavior": behavior.astype(np.int32) if behaviors else None},
        **{"users": pa.array([f"u{at}" for at in range(max(user) + 1)], pa.large_string())},
        **{"items": pa.array([f"i{at}" for at in range(max(item) + 1)], pa.large_string())},
        behaviors=pa.array(["view", "buy"] if behaviors else [], pa.large_string()),
    )


def kept(filters: Filters, events: Events) -> tuple[list[int], dict[str, int]]:
    """Which rows stay, told by their times, and what was dropped."""
    dropped: Counter[str] = Counter()
    left = filters.apply(events, lambda reason, number: dropped.update({reason: number}))
    return (left.time // NANO).tolist(), dict(dropped)


ROWS = [(0, 0, 5, 1, 0), (0, 0, 5, 2, 0), (0, 0, 7, 3, 1), (0, 0, 6, 4, 0), (1, 0, 5, 5, 0), (0, 1, 5, np.nan, 1)]


@pytest.mark.parametrize(
    ("rule", "behaviors", "rows"),
    [
        ("keep", False, [0, 1, 2, 3, 4, 5]),
        ("exact", False, [0, 2, 3, 4, 5]),
        ("first", False, [0, 4, 5]),
        ("last", False, [2, 4, 5]),
        ("last", True, [2, 3, 4, 5]),
        ("exact", True, [0, 2, 3, 4, 5]),
    ],
)
def test_duplicates(rule: str, behaviors: bool, rows: list[int]) -> None:
    left = Filters(rule).apply(log(ROWS, behaviors), lambda reason, number: None)
    assert left.rating is not None
    assert np.array_equal(left.rating, [ROWS[at][3] for at in rows], equal_nan=True)


def test_ratings_and_dates() -> None:
    times, dropped = kept(Filters("keep", min_rating=3, since=6 * NANO), log(ROWS))
    assert times == [7, 6]
    assert dropped == {"no rating, with --min-rating": 1, "rating below --min-rating": 2, "before --since": 1}
    assert kept(Filters("keep", until=6 * NANO), log(ROWS)) == ([5, 5, 5, 5], {"after --until": 2})
    with pytest.raises(ValueError, match="--min-rating needs ratings"):
        bare = log(ROWS)
        Filters("keep", min_rating=1).apply(Events(**{**vars(bare), "rating": None}), lambda reason, number: None)


def test_k_core_is_iterated_and_equals_a_plain_one() -> None:
    rng = np.random.default_rng(0)
    rows = [(rng.integers(50), rng.integers(30), at, 1, 0) for at in range(200)]
    events = log(rows)
    plain = list(rows)
    while True:
        users, items = Counter(row[0] for row in plain), Counter(row[1] for row in plain)
        left = [row for row in plain if users[row[0]] >= 4 and items[row[1]] >= 4]
        if len(left) == len(plain):
            break
        plain = left
    assert 0 < len(plain) < 190
    assert kept(Filters("keep", core=4), events) == (
        [row[2] for row in plain],
        {"user or item with too few events (--core)": len(rows) - len(plain)},
    )


def test_a_sample_of_users_is_whole_and_follows_the_seed() -> None:
    rows = [(at % 10, at % 7, at, 1, 0) for at in range(100)]
    samples = [kept(Filters("keep", users=3, seed=seed), log(rows)) for seed in (1, 1, 2)]
    assert samples[0] == samples[1] != samples[2]
    assert len(samples[0][0]) == 30 and samples[0][1] == {"user not in the sample (--users)": 70}
    assert len({time % 10 for time in samples[0][0]}) == 3
    assert kept(Filters("keep", users=99), log(rows))[1] == {}


def test_dates_of_the_options() -> None:
    assert day("20200101") == day("2020-01-01") and day("20200101", end=True) == day("20200102")
    assert day("2020-01-01") == 1577836800 * NANO and day("2020-01-01", end=True) == day("2020-01-02")
    assert (
        day("1577836800000") == day("1577836800000000") == day("1577836800") and day("1577836800", end=True) % NANO == 1
    )
    assert day("2020-01-01T01:00:00Z", end=True) == day("2020-01-01T01:00:00Z") + 1  # an event then is not later
    assert day("2020-01-01T01:00:00+01:00") == day("1577836800") == day("2020-01-01T00:00:00Z")


def test_all_filters_together(prepare: Callable, tmp_path: Path) -> None:
    lines = [f"u{at % 9},i{at % 5},2020-01-{1 + at % 28:02},{at % 5}" for at in range(300)]
    (tmp_path / "log.csv").write_text("u,i,t,r\n" + "\n".join(lines))
    done = prepare(
        *("csv", tmp_path / "log.csv", "--user", "u", "--item", "i", "--time", "t", "--rating", "r", "--core", "2"),
        *("--min-rating", "1", "--since", "2020-01-03", "--until", "2020-01-20", "--users", "5", "--seed", "3"),
    )
    report = done.report()
    rows = report["rows"]
    assert rows["read"] == 300 and rows["kept"] == len(done.rows()) == 300 - sum(rows["dropped"].values())
    assert {"before --since", "after --until", "rating below --min-rating"} < set(rows["dropped"])
    assert report["statistics"]["users"] == 5


def test_repeated_keys_are_found_across_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "ROWS", 3)
    keys = np.array([5, 2**62, 7, 5, -1, 2**62, 5, 8])
    assert filters.repeated(keys).tolist() == [0, 1, 3, 5, 6]
    assert filters.repeated(keys[1:3]).tolist() == []
