"""The report is right, and nothing is dropped that it does not count."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.prepare import layouts

COLUMNS = ("--user", "u", "--item", "i", "--time", "t", "--rating", "r")
LOG = """u,i,t,r
a,x,100,5
a,y,100,
,y,100,1
b,x,soon,2
b,NaN,200,2
b,y,200,good
one,two
b,y,200,3
c,y,-7,3
"a\r",z,1,2
a,x,100,1
c,x,1600000000000,4.5
"""


def test_every_row_is_counted(prepare: Callable, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(LOG.encode())
    done = prepare("csv", path, *COLUMNS)
    report = done.report()
    assert report["rows"] == {
        "read": 12,
        "dropped": {
            **{"no user id": 1, "no item id": 1, "time that cannot be read": 1, "wrong number of columns": 1},
            **{"time before 1970 or beyond 64 bits": 1, "duplicate (exact)": 2},
            "id with a line break: a quote before it was never closed": 1,
        },
        "places": {
            "no user id": f"{path}, line 4",
            "no item id": f"{path}, line 6",
            "time that cannot be read": f"{path}, line 5",
            "wrong number of columns": f"{path}, line 8",
            "time before 1970 or beyond 64 bits": f"{path}, line 10",
            "id with a line break: a quote before it was never closed": f"{path}, line 11",
            "ratings that are not numbers, left empty": f"{path}, line 7",
        },
        "kept": 4,
    }
    joined = "line ends inside quoted values, read as part of them; --no-quotes if quotes mean nothing"
    assert report["changed"] == {"ratings that are not numbers, left empty": 1, joined: 1}
    assert [tuple(row.values()) for row in done.rows()] == [
        *(
            ("a", "x", "5", "100.000"[:3]),
            ("a", "y", "", "100"),
            ("b", "y", "", "200"),
            ("c", "x", "4.5", "1600000000"),
        ),
    ]
    assert "  dropped: no user id" in done.out and f"(first: {path}, line 4)" in done.out


def test_statistics(prepare: Callable, tmp_path: Path) -> None:
    rows = [("a", "x", 10, 1), ("a", "y", 10, 2), ("a", "z", 20, 2), ("b", "x", 10, 1.5)]
    (tmp_path / "log.csv").write_text("u,i,t,r\n" + layouts.lines(rows, ","))
    statistics = prepare("csv", tmp_path / "log.csv", *COLUMNS).report()["statistics"]
    assert (statistics["users"], statistics["items"], statistics["interactions"]) == (2, 3, 4)
    ties = {"neighbours": 2, "tied": 1, "ascending": 1, "valid": 0, "valid_tied": 0, "test": 1, "test_tied": 0}
    assert statistics["ties"] == ties  # the last of a's three events is a target of leave-one-out, and has no tie
    assert statistics["density"] == 4 / 6 and statistics["tie_share"] == 0.5
    assert statistics["time_span"] == ["1970-01-01T00:00:10+00:00", "1970-01-01T00:00:20+00:00"]
    assert statistics["rating_levels"] == {"1": 1, "1.5": 1, "2": 2} and statistics["missing_ratings"] == 0
    assert statistics["history_length"]["0"] == 1 and statistics["history_length"]["0.5"] == 2
    assert statistics["item_popularity"]["1"] == 2 and statistics["behaviors"] is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",y,100,1", "no user id"),
        ("a,,100,1", "no item id"),
        ("a,y,soon,1", "time that cannot be read"),
        ("a,y,100,good", "ratings that are not numbers"),
        ("a,y", "wrong number of columns"),
        (f"{'a' * 2000},y,100,1", "id longer than 1,000 characters"),
    ],
)
def test_strict_stops_at_the_first_bad_row(prepare: Callable, tmp_path: Path, line: str, reason: str) -> None:
    good = [f"u{at},i{at},{at},1" for at in range(1000, 1100)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["u,i,t,r", *good[:40], "", line, *good[40:], ",,,", "a"]))
    done = prepare("csv", path, *COLUMNS, "--strict", fails=True)
    assert f"{path}, line 43: {reason}" in done.err
    assert prepare("csv", path, *COLUMNS).report()["rows"]["read"] == 103


def test_strict_counts_the_lines_of_quoted_values(prepare: Callable, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text('u,i,t,r,name\na,x,1,1,"two\nlines"\nb,x,2,2,"""q"""\nb,,2,2,z\n')
    assert ", line 5: no item id" in prepare("csv", tmp_path / "log.csv", *COLUMNS, "--strict", fails=True).err


def test_strict_with_records_and_item_files(prepare: Callable, tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    path.write_text('{"user_id": "a", "parent_asin": "b", "timestamp": 1, "rating": 1}\n\n{"user_id": \n')
    assert ", line 3: not a record" in prepare("amazon", "--reviews", path, "--strict", fails=True).err
    folder = layouts.ml_csv(tmp_path / "ml")
    with (folder / "movies.csv").open("a") as file:
        file.write("9,one\n")
    assert "movies.csv, line 10: wrong number of columns" in prepare("movielens", folder, "--strict", fails=True).err
    done = prepare("movielens", folder)
    assert done.report()["item_rows"]["dropped"] == {"wrong number of columns": 1}


def test_plots_are_drawn_on_demand(prepare: Callable, tmp_path: Path) -> None:
    folder = layouts.ml_csv(tmp_path / "ml")
    done = prepare("movielens", folder, "--plots")
    names = {path.name for path in (done.folder / "plots").iterdir()}
    assert names == {"history_length.png", "item_popularity.png", "time.png", "rating.png"}
    assert all((done.folder / "plots" / name).read_bytes()[:4] == b"\x89PNG" for name in names)


def test_many_rating_levels_are_binned(prepare: Callable, tmp_path: Path) -> None:
    rows = [("u", f"i{at}", at, value) for at, value in enumerate(np.linspace(-10, 10, 200))]
    (tmp_path / "log.csv").write_text("u,i,t,r\n" + layouts.lines(rows, ","))
    levels = prepare("csv", tmp_path / "log.csv", *COLUMNS).report()["statistics"]["rating_levels"]
    assert sum(levels.values()) == 200 and len(levels) == 20 and "-10 to -9" in levels


def test_ties_are_said_in_the_order_of_the_file(prepare: Callable, tmp_path: Path) -> None:
    rows = [(user, item, 10 + item // 4, 1) for user in "abcde" for item in (8, 9, 10, 11, 5, 4, 6, 7, 3)]
    (tmp_path / "log.csv").write_text("u,i,t,r\n" + layouts.lines(rows, ","))
    done = prepare("csv", tmp_path / "log.csv", *COLUMNS)
    said = (
        "30 of 40 neighbouring events of a user are at one time (75 %), and so are 5 of 5 validation targets (all) and "
        "5 of 5 test targets (all) with a neighbour. The items' ids ascend in 25 of these pairs (83 %), as a random"
    )
    assert said in " ".join(done.out.split())
