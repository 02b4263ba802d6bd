"""CSV, TSV, Parquet and JSON lines with columns that the user names: exact, counted, and read by RecBole."""

import datetime
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from recbole_longinterest.cli import main
from recbole_longinterest.prepare.sources.tables import field_name
from recbole_longinterest.text.reader import read_item_text

ROWS = [
    ("007", "x\u00e91", 1_700_000_000, 4.5, "view", "Red, big"),
    ("7", "1e9", 1_700_000_001, 3.0, "buy", 'A "b"'),
    ("1.0", "16777217", 1_700_000_002, None, "view", ""),
    ("7", "007", 1_700_000_003, 5.0, "cart", '"q" first'),
    ("7", "x\u00e91", 1_700_000_004, 1.0, "", "later"),
]
NAMES = ("user", "item", "when", "stars", "what", "name")
ARGUMENTS = (
    "--user",
    "user",
    "--item",
    "item",
    "--time",
    "when",
    "--rating",
    "stars",
    "--behavior",
    "what",
    "--text",
    "name",
)
EXPECTED = [
    ("007", "x\u00e91", "4.5", "1700000000", "view"),
    ("7", "1e9", "3", "1700000001", "buy"),
    ("1.0", "16777217", "", "1700000002", "view"),
    ("7", "007", "5", "1700000003", "cart"),
    ("7", "x\u00e91", "1", "1700000004", ""),
]


def write(path: Path, rows: list[tuple] = ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        table = pa.table({name: list(column) for name, column in zip(NAMES, zip(*rows, strict=True), strict=True)})
        pa.parquet.write_table(table, path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in rows))
    else:
        separator = {".csv": ",", ".tsv": "\t", ".txt": ";"}[path.suffix]
        cells = [NAMES, *(["" if cell is None else str(cell) for cell in row] for row in rows)]
        path.write_text(
            "".join(separator.join(quoted(cell) for cell in row) + "\r\n" for row in cells), encoding="utf-8"
        )
    return path


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if set(cell) & set('",;\t\n') else cell


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".parquet", ".jsonl"])
def test_every_format_gives_the_same_data_set(prepare: Callable, tmp_path: Path, suffix: str) -> None:
    done = prepare("csv", write(tmp_path / f"log{suffix}"), *ARGUMENTS)
    assert [tuple(row.values()) for row in done.rows()] == EXPECTED
    assert read_item_text(done.folder / "raw.item", "item_id", ["name"]) == {
        **{"x\u00e91": "Red, big", "1e9": 'A "b"', "007": '"q" first'},
    }
    report = done.report()
    assert report["changed"] == {"events without a behaviour, left empty": 1}
    assert report["statistics"]["missing_ratings"] == 1
    assert report["statistics"]["behaviors"] == {"view": 2, "buy": 1, "cart": 1}


def test_several_files_and_a_folder(prepare: Callable, tmp_path: Path) -> None:
    first, second = write(tmp_path / "in" / "a.csv", ROWS[:2]), write(tmp_path / "in" / "b.parquet", ROWS[2:])
    (tmp_path / "in" / "README.md").write_text("not a table")
    done = prepare("csv", first, second, *ARGUMENTS)
    assert [tuple(row.values()) for row in done.rows()] == EXPECTED
    folder = prepare("csv", tmp_path / "in", *ARGUMENTS, "--overwrite")
    assert folder.rows() == done.rows() and "passed over: " in folder.out and "README.md" in folder.out


@pytest.mark.parametrize(
    ("column", "expected", "form"),
    [
        (pa.array([1_700_000_000_123, 5], pa.int64()), ["1700000000.123", "5.000"], "milliseconds: 1"),
        (pa.array([1_700_000_000.0, 1_700_000_000.25]), ["1700000000.000", "1700000000.250"], "seconds: 2"),
        (
            pa.array([datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 2)]),
            ["1577836800", "1577923200"],
            "timestamps",
        ),
        (pa.array([datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)]), ["1577836800", "1577923200"], "timestamps"),
        (pa.array(["2020-01-01", "2020-01-02T01:00:00+01:00"]), ["1577836800", "1577923200"], "ISO dates: 1"),
    ],
)
def test_times_of_parquet(prepare: Callable, tmp_path: Path, column: pa.Array, expected: list[str], form: str) -> None:
    pa.parquet.write_table(pa.table({"u": [2**53 + 1, 1], "i": [1.0, 2.5], "t": column}), tmp_path / "x.parquet")
    done = prepare("csv", tmp_path / "x.parquet", "--user", "u", "--item", "i", "--time", "t")
    assert [row["timestamp"] for row in done.rows()] == expected
    assert [(row["user_id"], row["item_id"]) for row in done.rows()] == [(str(2**53 + 1), "1"), ("1", "2.5")]
    assert form in done.out


def test_texts_from_a_file_of_items(prepare: Callable, tmp_path: Path) -> None:
    items = tmp_path / "items.csv"
    items.write_text('item,brand,title\n007,"A\nB",Seven\n1e9,,"say ""x"""\nnobody,x,y\n007,again,again\n')
    done = prepare("csv", write(tmp_path / "log.csv"), *ARGUMENTS[:10], "--items", items, "--text", "title,brand")
    assert {row["item_id"]: (row["title"], row["brand"]) for row in done.rows("item")} == {
        **{"007": ("Seven", "A B"), "1e9": ('say "x"', ""), "x\u00e91": ("", ""), "16777217": ("", "")},
    }
    config = (done.output / "dataset_configs" / "raw.yaml").read_text()
    assert "text_fields: [title, brand]\n" in config
    assert "inter: [user_id, item_id, rating, timestamp, behavior]" in config


def test_no_header_no_quotes_a_separator_an_encoding_and_a_time_format(prepare: Callable, tmp_path: Path) -> None:
    path = tmp_path / "log.dat"
    path.write_bytes('a;"x;31.12.2020;\u0416\nb;y";01.01.2021;\u0416\n'.encode("cp1251"))
    arguments = ("--user", "1", "--item", "2", "--time", "3", "--text", "4", "--no-header", "--no-quotes")
    done = prepare("csv", path, *arguments, "--separator", ";", "--encoding", "cp1251", "--time-format", "%d.%m.%Y")
    assert [tuple(row.values()) for row in done.rows()] == [("a", "%22x", "1609372800"), ("b", 'y"', "1609459200")]
    assert [row["4"] for row in done.rows("item")] == ["\u0416", "\u0416"]


def test_what_is_wrong_is_one_sentence(prepare: Callable, tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv")
    for arguments, message in (
        (
            (log, "--user", "uid", *ARGUMENTS[2:]),
            "has no column uid; its columns are: user, item, when, stars, what, name",
        ),
        ((tmp_path / "none.csv", *ARGUMENTS), "There is no file or folder"),
        ((log, *ARGUMENTS, "--separator", "ab"), "--separator must be one ASCII character"),
        ((log, *ARGUMENTS, "--items", log, "--text", ""), "--items needs --text"),
        ((log, *ARGUMENTS[:10], "--text", "name,name"), "need distinct names"),
        ((log, *ARGUMENTS, "--time-format", "%Y"), "Not one of 5 rows can be used: 5: time that cannot be read"),
        ((log, *ARGUMENTS, "--encoding", "klingon"), "klingon"),
        ((log, *ARGUMENTS, "--users", "3", "--what"), "prepare has no argument --what"),
        (
            (log, *ARGUMENTS, "--target-behavior", "like"),
            "--target-behavior like is not a behaviour of the kept events; they have",
        ),
        ((log, *ARGUMENTS, "--since", "yesterday"), "A date must look like 2020-01-31"),
        (
            (log, *ARGUMENTS[:3], "user", *ARGUMENTS[4:]),
            "--item user --time when --rating stars --behavior what: one column",
        ),
        ((log, *ARGUMENTS, "--since", ""), "A date must look like 2020-01-31"),
        (("n" * 300, *ARGUMENTS), "File name too long"),
        ((log, *ARGUMENTS, "--core", "5"), "No event is left: 5 user or item with too few events"),
    ):
        assert message in prepare("csv", *arguments, fails=True).err
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no")
    assert "is not a Parquet file" in prepare("csv", tmp_path / "x.parquet", *ARGUMENTS, fails=True).err
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n')
    assert "no record has user, item, when" in prepare("csv", tmp_path / "x.jsonl", *ARGUMENTS, fails=True).err
    assert "A name must have at most 100 letters" in prepare("csv", log, *ARGUMENTS, name="a b", fails=True).err


def test_a_column_that_the_first_records_lack(prepare: Callable, tmp_path: Path) -> None:
    lines = [f'{{"u": {n % 3}, "i": {n}, "t": {100 + n}, "device": "x", "country": "y"}}' for n in range(9)]
    lines.append('{"u": 1, "i": 9, "t": 200, "r": 4}')
    (tmp_path / "x.jsonl").write_text("\n".join(lines) + "\n")
    done = prepare("csv", tmp_path / "x.jsonl", "--user", "u", "--item", "i", "--time", "t", "--rating", "r")
    assert [row["rating"] for row in done.rows()].count("4") == 1 and len(done.rows()) == 10


def test_quotes_that_swallow_lines_are_counted(prepare: Callable, tmp_path: Path) -> None:
    rows = [f"{n % 3}\t{n}\t{chr(34) * (n == 10)}Hello{chr(34) * (n == 50)}\t{100 + n}" for n in range(100)]
    (tmp_path / "x.tsv").write_text("u\ti\ttext\tt\n" + "\n".join(rows) + "\n")
    arguments = ("csv", tmp_path / "x.tsv", "--user", "u", "--item", "i", "--time", "t")
    done = prepare(*arguments)
    changed = done.report()["changed"]
    assert changed["line ends inside quoted values, read as part of them; --no-quotes if quotes mean nothing"] == 40
    assert done.report()["rows"]["read"] == 60
    assert prepare(*arguments, "--no-quotes", name="plain").report()["rows"]["read"] == 100


def test_a_bad_row_after_a_lone_carriage_return_is_named(prepare: Callable, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"u,i,t\n1,2,100\r2,2,200\n1,3,bad\n")
    done = prepare("csv", tmp_path / "x.csv", "--user", "u", "--item", "i", "--time", "t", "--no-quotes")
    assert done.report()["rows"]["places"] == {"time that cannot be read": f"{tmp_path / 'x.csv'}, line 4"}


def test_lists_and_truths_of_json_lines(prepare: Callable, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"u": 1, "i": 2, "t": 3, "like": true, "tags": ["a b", null, ["c"]]}\n')
    arguments = ("--user", "u", "--item", "i", "--time", "t", "--rating", "like", "--text", "tags")
    done = prepare("csv", tmp_path / "x.jsonl", *arguments)
    assert done.rows()[0]["rating"] == "1" and done.rows("item")[0]["tags"] == "a b|c"


def test_a_data_set_is_replaced_only_on_request(prepare: Callable, tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv")
    prepare("csv", log, *ARGUMENTS)
    assert "already exists. Give another --name, or --overwrite" in prepare("csv", log, *ARGUMENTS, fails=True).err
    again = prepare("csv", log, *ARGUMENTS[:6], "--overwrite")
    assert list(again.rows()[0]) == ["user_id", "item_id", "timestamp"] and not (again.folder / "raw.item").exists()


def test_a_dry_run_reports_and_writes_nothing(prepare: Callable, tmp_path: Path) -> None:
    done = prepare("csv", write(tmp_path / "log.csv"), *ARGUMENTS, "--dry-run")
    assert "rows read" in done.out and "Dry run: nothing was written." in done.out and not done.output.exists()


@pytest.mark.parametrize(("option", "value"), [("--seed", "-1"), ("--min-rating", "nan"), ("--min-rating", "x")])
def test_numbers_of_the_options(tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str) -> None:
    with pytest.raises(SystemExit):
        main.main(["prepare", "csv", str(write(tmp_path / "log.csv")), *ARGUMENTS, option, value])
    assert f"argument {option}: must be a" in capsys.readouterr().err


def test_bytes_and_large_numbers_of_parquet(prepare: Callable, tmp_path: Path) -> None:
    arguments = ("csv", tmp_path / "x.parquet", "--user", "u", "--item", "i", "--time", "t", "--rating", "r")
    columns = {"i": ["a"], "t": [5], "r": pa.array([2**63 + 5], pa.uint64())}
    pa.parquet.write_table(pa.table({"u": [b"\xff"], **columns}), tmp_path / "x.parquet")
    assert "the column u holds bytes that are not UTF-8. Save it as strings" in prepare(*arguments, fails=True).err
    pa.parquet.write_table(pa.table({"u": [b"007"], **columns}), tmp_path / "x.parquet")
    row = prepare(*arguments).rows()[0]
    assert row["user_id"] == "007" and float(row["rating"]) == 2.0**63


@pytest.mark.parametrize(
    ("column", "field"), [('"big" name', "big_name"), ("a:token", "a"), ("b\0\tc", "b_c"), (":", "text")]
)
def test_columns_as_fields(column: str, field: str) -> None:
    assert field_name(column) == field
