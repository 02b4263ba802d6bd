r"""Quotes that are doubled, escaped by a backslash or bare: read as meant, or the row is counted."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_longinterest.prepare.readers import files
from recbole_longinterest.prepare.readers.chunks import BARE, ESCAPES
from recbole_longinterest.prepare.readers.quotes import is_regular, mend, without_escapes

COLUMNS = ("--user", "u", "--item", "i", "--time", "t", "--text", "name")
HEAD = "u,i,t,name\n"
CELLS = st.text(st.sampled_from('ab ",\\\n;'), max_size=6)
TABLES = st.lists(st.lists(CELLS, min_size=3, max_size=3).map(lambda row: [f"x{row[0]}", *row[1:]]), min_size=1)


def rows_of(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode(), newline="")))


@given(TABLES, st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_what_the_csv_module_writes_is_regular(table: list[list[str]], quoting: int) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, quoting=quoting, lineterminator="\n").writerows(table)
    text = file.getvalue().encode()
    assert is_regular(text, ",") and rows_of(text) == table
    if b"\\" not in text:  # beside a quote it may be an escape
        mended, escapes = mend(text, ",", 3, escapes=False)
        assert rows_of(mended.text) == table and not (escapes or mended.bad or mended.bare or mended.escapes)


@given(TABLES)
def test_escaped_quotes_are_read_as_written(table: list[list[str]]) -> None:
    quoted = [['"' + cell.replace("\\", "\\\\").replace('"', '\\"') + '"' for cell in row] for row in table]
    text = "".join(",".join(row) + "\n" for row in quoted).encode()
    mended, _ = mend(text, ",", 3, escapes=True)
    assert rows_of(mended.text) == table and not (mended.bad or mended.bare)
    plain = without_escapes(text)
    assert is_regular(plain, ",") and rows_of(plain) == table


@given(st.text(st.sampled_from('a ",\n\r\\'), max_size=40))
def test_regular_text_is_read_alike_by_all(text: str) -> None:
    data = text.encode()
    read = rows_of(data) if is_regular(data, ",") else []
    if read and "\\" not in text and all(len(row) == 2 for row in read):
        mended, _ = mend(data, ",", 2, escapes=False)
        assert rows_of(mended.text) == read and not (mended.bad or mended.bare)


CASES = {
    "escaped": ('a,1,1600000000,"The \\"best\\" mug"\n', ['The "best" mug'], ESCAPES),
    "escaped at the end": ('a,1,1600000000,"5\\""\nb,2,1600000001,"6\\""\n', ['5"', '6"'], ESCAPES),
    "escaped backslash": ('a,1,1600000000,"\\"x\\""\nb,2,1600000001,"C:\\\\"\n', ['"x"', "C:\\"], ESCAPES),
    "escaped separator": ("a,1,1600000000,one\\, two\n", ["one, two"], ESCAPES),
    "escaped line end": ("a,1,1600000000,one\\\ntwo\nb,2,1600000001,x\n", ["one two", "x"], ESCAPES),
    "escaped line end of Windows": ("a,1,1600000000,one\\\r\ntwo\r\nb,2,1600000001,x\r\n", ["one two", "x"], ESCAPES),
    "several lines": ('a,1,1600000000,"two\nlines \\"x\\""\nb,2,1600000001,y\n', ['two lines "x"', "y"], ESCAPES),
    "bare": ('a,1,1600000000,"The "best" mug"\n', ['The "best" mug'], BARE),
    "inches": ('a,1,1600000000,"17""\nb,2,1600000001,"19""\n', ['17"', '19"'], BARE),
    "never closed": ('a,1,1600000000,"Hello\nb,2,1600000001,"Bye\nc,3,1600000002,x\n', ['"Hello', '"Bye', "x"], BARE),
    "doubled": ('a,1,1600000000,"The ""best"" mug"\n', ['The "best" mug'], None),
    "inside an unquoted value": ('a,1,1600000000,5" screen\nb,2,1600000001,6" "b"\n', ['5" screen', '6" "b"'], None),
    "folders of Windows": ('a,"1",1600000000,"C:\\dir\\"\nb,2,1600000001,"D:\\"\n', ["C:\\dir\\", "D:\\"], None),
    "spaces around": ('a, "1" , 1600000000, "x, y"\nb, "2",1600000001,"z"\n', ["x, y", "z"], None),
    "lines in values": ('a,1,1600000000,"x\n""y"""\nb,2,1600000001,z\n', ['x "y"', "z"], None),
}


@pytest.mark.parametrize("block", [40, 8 * 2**20])
@pytest.mark.parametrize("case", CASES)
def test_rows_are_read_as_meant(
    prepare: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, block: int
) -> None:
    monkeypatch.setattr(files, "BLOCK", block)
    text, names, said = CASES[case]
    (tmp_path / "log.csv").write_bytes((HEAD + text).encode())
    done = prepare("csv", tmp_path / "log.csv", *COLUMNS)
    assert [row["name"].strip() for row in done.rows("item")] == names
    assert [row["item_id"] for row in done.rows()] == ["1", "2", "3"][: len(names)]
    changed = done.report()["changed"]
    assert [what for what in (ESCAPES, BARE) if what in changed] == ([said] if said else [])
    if said:
        assert said in done.out and "(first: " in done.out


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separators_and_line_ends(prepare: Callable, tmp_path: Path, separator: str, end: str) -> None:
    rows = [
        ["u", "i", "t", "name"],
        ["a", '04465\\"2', "1600000000", 'The \\"best\\" mug'],
        ["b", "2", "1600000001", "x"],
    ]
    text = end.join(separator.join(f'"{cell}"' for cell in row) for row in rows)
    (tmp_path / "log.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    done = prepare("csv", tmp_path / "log.csv", *COLUMNS)
    assert [row["item_id"] for row in done.rows()] == ['04465"2', "2"]
    assert [row["name"] for row in done.rows("item")] == ['The "best" mug', "x"]


def test_a_row_that_fits_no_way_is_counted(prepare: Callable, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(HEAD + 'a,1,1600000000,"The "best", mug"\nb,2,1600000001,"x"\n')
    done = prepare("csv", tmp_path / "log.csv", *COLUMNS)
    assert done.report()["rows"]["dropped"] == {"wrong number of columns": 1}
    assert done.report()["rows"]["places"]["wrong number of columns"].endswith("line 2")
    assert len(done.rows()) == 1


def test_lines_are_those_of_the_file(prepare: Callable, tmp_path: Path) -> None:
    text = 'a,1,1600000000,"x\ny ""z"""\n\nb,2,1600000001,"The "best" mug"\nc,,1600000002,"5\\" x"\n'
    (tmp_path / "log.csv").write_text(HEAD + text)
    places = prepare("csv", tmp_path / "log.csv", *COLUMNS).report()["rows"]["places"]
    assert places[BARE].endswith("line 5") and places["no item id"].endswith("line 6")


def test_strict_stops_at_a_guess(prepare: Callable, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(HEAD + 'a,1,1600000000,x\nb,2,1600000001,"The "best" mug"\n')
    assert f"line 3: {BARE}" in prepare("csv", tmp_path / "log.csv", *COLUMNS, "--strict", fails=True).err
    (tmp_path / "log.csv").write_text(HEAD + 'a,1,1600000000,"The \\"best\\" mug"\n')
    assert prepare("csv", tmp_path / "log.csv", *COLUMNS, "--strict").rows("item")[0]["name"] == 'The "best" mug'


def test_many_rows_in_many_blocks(prepare: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BLOCK", 1_000)
    names = [('"q" {n}', "x\ny, {n}", "C:\\{n}\\", "plain {n}")[n % 4].format(n=n) for n in range(400)]
    rows = [f'u{n % 7},i{n},{1_600_000_000 + n},"{name}"' for n, name in enumerate(names)]
    escaped = [row.replace("\\", "\\\\").replace('"q"', '\\"q\\"') for row in rows]
    (tmp_path / "log.csv").write_text(HEAD + "\n".join(escaped) + "\n")
    done = prepare("csv", tmp_path / "log.csv", *COLUMNS)
    assert len(done.rows()) == 400 and done.report()["rows"]["dropped"] == {}
    assert [row["name"].strip() for row in done.rows("item")] == [" ".join(name.split()) for name in names]


def test_quotes_in_files_of_items_are_said(prepare: Callable, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("u,i,t\na,1,1600000000\nb,2,1600000001\n")
    (tmp_path / "items.csv").write_text('i,name\n1,"The "best" mug"\n2,"5\\" screen"\n')
    done = prepare("csv", tmp_path / "log.csv", *COLUMNS, "--items", tmp_path / "items.csv")
    assert [row["name"] for row in done.rows("item")] == ['The "best" mug', '5" screen']
    assert done.report()["item_rows"]["changed"] == {BARE: 1, ESCAPES: 1}
    assert BARE in done.out and f"(first: {tmp_path / 'items.csv'}, line 2)" in done.out
