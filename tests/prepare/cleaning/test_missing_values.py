r"""What databases write for no value is no user, no item, no text and no category."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from recbole_longinterest.prepare.cleaning.missing_values import MISSING_VALUES, is_missing, missing_mask, words_given

WORDS = [
    *("\\N", "NULL", "null", "Null", "NaN", "nan", "None", "none", "NA", "na", "n/a", "N/A", "nil", "(null)", "<null>"),
    *("[NULL]", "#N/A", "<NA>", "NaT", "<nil>", "undefined", "", "  ", " NULL ", "-nan", "#NULL!", "n.a."),
]
COLUMNS = ("--user", "u", "--item", "i", "--time", "t", "--rating", "r", "--behavior", "b", "--text", "name,cat")


@pytest.mark.parametrize("word", WORDS)
def test_words(word: str) -> None:
    assert is_missing(word, MISSING_VALUES)
    assert missing_mask(pa.array([word, "x", None]), MISSING_VALUES).to_pylist()[:2] == [True, False]


@pytest.mark.parametrize("word", ["Nano", "0", "-1", "N", "nn", "Nala", "nothing", "?", "-", "False"])
def test_other_words_are_values(word: str) -> None:
    assert not is_missing(word, MISSING_VALUES)


def test_given_words() -> None:
    assert words_given("\\N, Missing") == {"", "\\n", "missing"} and words_given("") == {""}
    assert words_given(None) == MISSING_VALUES


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("word", ["\\N", "NULL", "NaN", "None", "(null)", "nil", "<NA>", "n/a"])
def test_no_value_becomes_anything(prepare: Callable, tmp_path: Path, word: str, suffix: str) -> None:
    good, names = ("a", "1", "5", "view", "Ball", "Toys"), ("u", "i", "r", "b", "name", "cat")
    rows = [good] + [tuple(word if at == bad else cell for at, cell in enumerate(good)) for bad in range(6)]
    rows = [(*row, 1_600_000_000 + at) for at, row in enumerate(rows)] + [
        ("b", "2", "4", "buy", word, word, 1_600_000_009)
    ]
    done = prepare("csv", written(tmp_path / f"log{suffix}", [*names, "t"], rows), *COLUMNS)
    assert {row["user_id"] for row in done.rows()} == {"a", "b"}
    assert {row["item_id"] for row in done.rows()} == {"1", "2"}
    assert [row["rating"] for row in done.rows()].count("") == 1
    assert [row["behavior"] for row in done.rows()].count("") == 1
    assert [tuple(row.values()) for row in done.rows("item")] == [("1", "Ball", "Toys"), ("2", "", "")]
    report = done.report()
    assert report["rows"]["dropped"] == {"no user id": 1, "no item id": 1}
    assert {name: sum(counts.values()) for name, counts in report["missing_values"].items()} == {
        **{"user": 1, "item": 1, "rating": 1, "behavior": 1, "name": 2, "cat": 2},
    }
    assert "read as missing: user" in done.out and "--missing-values" in done.out


def written(path: Path, names: list[str], rows: list[tuple]) -> Path:
    import json

    import pyarrow.parquet

    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
        pyarrow.parquet.write_table(pa.table(columns), path)
    else:
        path.write_text("\n".join(",".join(map(str, row)) for row in [names, *rows]) + "\n")
    return path


def test_a_real_item_of_such_a_name_is_kept_by_option(prepare: Callable, tmp_path: Path) -> None:
    rows = [("None", "NA", 5, "view", "Nil", "n/a", 1_600_000_000), ("\\N", "1", 5, "view", "x", "y", 1_600_000_001)]
    log = written(tmp_path / "log.jsonl", ["u", "i", "r", "b", "name", "cat", "t"], rows)
    done = prepare("csv", log, *COLUMNS, "--missing-values", "\\N")
    assert [(row["user_id"], row["item_id"]) for row in done.rows()] == [("%4Eone", "%4EA")]  # as RecBole can read them
    assert done.rows("item")[0]["name"] == "Nil" and done.rows("item")[0]["cat"].strip() == "n/a"
    assert done.report()["missing_values"] == {"user": {"\\N": 1}}


def test_items_without_an_id_in_a_file_of_items(prepare: Callable, tmp_path: Path) -> None:
    log = written(tmp_path / "log.csv", ["u", "i", "t"], [("a", "1", 1_600_000_000)])
    items = written(tmp_path / "items.csv", ["i", "name"], [("NULL", "no"), ("1", "\\N"), ("1", "later")])
    done = prepare("csv", log, *COLUMNS[:6], "--items", items, "--text", "name")
    assert [row["name"] for row in done.rows("item")] == [""]
    assert done.report()["missing_values"] == {"name": {"\\N": 1}}
