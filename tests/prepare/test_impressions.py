"""Columns of items that hold lists are refused with what they are; files without times are in order of their rows."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.impressions import check_single_items

MIND = (
    "1\tU13740\t11/11/2019 9:05:58 AM\tN55189 N42782 N34694\tN55689-1 N35729-0\n"
    "2\tU91836\t11/12/2019 6:11:30 PM\tN31739 N6072\tN20678-0\n"
)


@pytest.mark.parametrize(("column", "what"), [("4", "holds lists of items"), ("5", "holds impressions, a list of the")])
def test_mind(prepare: Callable, tmp_path: Path, column: str, what: str) -> None:
    (tmp_path / "behaviors.tsv").write_text(MIND)
    arguments = ("--no-header", "--user", "2", "--item", column, "--time", "3")
    error = prepare("csv", tmp_path / "behaviors.tsv", *arguments, fails=True).err
    assert f"behaviors.tsv: the column {column} {what}" in error and "Convert it first to one row per" in error


@pytest.mark.parametrize(
    "values",
    [
        ["N1-1 N2-0", "N3-0"],
        ["12:0,15:1", "13:1,16:0"],
        ["101|102|103", "5|8"],
        ["1,2,3", "4,5"],
        ["['a', 'b']", "['c']"],
        ["[1, 2]"],
        ["B01 B02 B03", "B04 B05"],
    ],
)
def test_lists_of_items(values: list[str]) -> None:
    with pytest.raises(
        LongInterestError, match=r"the column i holds (lists of items|impressions).* Convert it first to one row per"
    ):
        check_single_items(values, "i", "log.csv")


@pytest.mark.parametrize(
    "values",
    [
        ["Dota 2", "Left 4 Dead 2", "Portal"],
        ["N1-1", "N2-0"],
        ["Hello, world", "Guns N' Roses"],
        ["2012-01", "A-1"],
        ["Studio 54 (live)", "[live]"],
        [],
    ],
)
def test_ids_and_names(values: list[str]) -> None:
    check_single_items(values, "i", "log.csv")


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_real_lists(prepare: Callable, tmp_path: Path, suffix: str) -> None:
    rows = [{"u": 1, "i": ["a", "b"], "t": 1}, {"u": 2, "i": ["c"], "t": 2}]
    if suffix == ".parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "log.parquet")
    else:
        (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ("--user", "u", "--item", "i", "--time", "t")
    error = prepare("csv", tmp_path / f"log{suffix}", *arguments, fails=True).err
    assert "the column i holds lists" in error and "Convert it first to one row per event" in error


BOOKS = "reader;ISBN;stars\na;x;5\nb;x;0\na;y;\nNULL;y;1\na;z;4\n"


def test_the_order_of_the_rows(prepare: Callable, tmp_path: Path) -> None:
    (tmp_path / "books.csv").write_text(BOOKS)
    arguments = ("--user", "reader", "--item", "ISBN", "--rating", "stars", "--order", "file")
    done = prepare("csv", tmp_path / "books.csv", *arguments)
    assert [tuple(row.values()) for row in done.rows()] == [
        *(("a", "x", "5", "0"), ("b", "x", "0", "1"), ("a", "y", "", "2"), ("a", "z", "4", "4")),
    ]
    assert "The data has no times: events are in the order of the rows" in done.out
    assert "before 1990" not in done.out and "--time_features=off" in done.out
    several = prepare("csv", tmp_path / "books.csv", tmp_path / "books.csv", *arguments, name="several")
    assert [row["timestamp"] for row in several.rows()] == ["0", "1", "2", "4", "5", "6", "7", "9"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "prepare csv needs --time COLUMN; or --order file, if the data has no times"),
        (("--order", "file", "--time", "stars"), "--time and --order file exclude each other"),
        (
            ("--order", "file", "--since", "2020-01-01"),
            "--since and --until need times, which --order file does not have",
        ),
        (("--order", "file", "--items-id", "id"), "--items-id names a column of the item files"),
    ],
)
def test_arguments_that_do_not_fit(prepare: Callable, tmp_path: Path, arguments: tuple, message: str) -> None:
    (tmp_path / "books.csv").write_text(BOOKS)
    assert (
        message
        in prepare("csv", tmp_path / "books.csv", "--user", "reader", "--item", "ISBN", *arguments, fails=True).err
    )


def test_files_of_items_with_an_id_of_another_name(prepare: Callable, tmp_path: Path) -> None:
    (tmp_path / "books.csv").write_text(BOOKS)
    (tmp_path / "items.jsonl").write_text('{"id": "x", "title": "X one"}\n{"id": "y", "title": "Y"}\n')
    arguments = ("--user", "reader", "--item", "ISBN", "--order", "file", "--items", tmp_path / "items.jsonl")
    done = prepare("csv", tmp_path / "books.csv", *arguments, "--items-id", "id", "--text", "title")
    assert {row["item_id"]: row["title"] for row in done.rows("item")} == {"x": "X one", "y": "Y", "z": ""}
