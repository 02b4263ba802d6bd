"""Encodings, marks, trailing separators and zero bytes of tables."""

from collections.abc import Callable
from pathlib import Path

import pytest

from recbole_longinterest.prepare.readers import files

COLUMNS = ("--user", "u", "--item", "i", "--time", "t", "--text", "name")
TEXT = "u;i;t;name\r\na;1;1600000000;d\u00e9j\u00e0\r\nb;2;1600000001;y\r\n"


@pytest.mark.parametrize("block", [7, 8 * 2**20])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_encodings_are_recognised(
    prepare: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, block: int
) -> None:
    (tmp_path / "log.csv").write_bytes(TEXT.encode(encoding))
    if block > 100 or encoding in ("utf-8", "latin-1"):
        monkeypatch.setattr(files, "BLOCK", block)
    done = prepare("csv", tmp_path / "log.csv", *COLUMNS)
    assert [tuple(row.values()) for row in done.rows("item")] == [("1", "d\u00e9j\u00e0"), ("2", "y")]


@pytest.mark.parametrize("encoding", ["shift_jis", "gbk", "utf-16", "koi8-r"])
def test_given_encodings(prepare: Callable, tmp_path: Path, encoding: str) -> None:
    name = "\u0416\u0418" if encoding == "koi8-r" else "\u8868\u793a"  # in Shift-JIS its second byte is a backslash
    text = f'u,i,t,name\na,1,1600000000,"{name}"\nb,2,1600000001,{name}|\n'
    (tmp_path / "log.csv").write_bytes(text.encode(encoding))
    done = prepare("csv", tmp_path / "log.csv", *COLUMNS, "--encoding", encoding)
    assert [row["name"] for row in done.rows("item")] == [name, f"{name}|"]


def test_an_encoding_that_is_not_the_files(prepare: Callable, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(TEXT.encode("latin-1"))
    error = prepare("csv", tmp_path / "log.csv", *COLUMNS, "--encoding", "utf-8", fails=True).err
    assert "is not in the encoding utf-8" in error and "Leave --encoding out" in error


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(("head", "row"), [("", "S"), ("S", ""), ("S", "S")])
def test_trailing_separators(prepare: Callable, tmp_path: Path, separator: str, head: str, row: str) -> None:
    lines = ["u,i,t,name" + head, "a,1,1600000000,x" + row, "b,2,1600000001,y" + row]
    text = "\n".join(line.replace(",", separator).replace("S", separator) for line in lines)
    (tmp_path / "log.csv").write_text(text)
    done = prepare("csv", tmp_path / "log.csv", *COLUMNS)
    assert [row["name"] for row in done.rows("item")] == ["x", "y"]


def test_zero_bytes(prepare: Callable, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(b"u,i,t,name\na,1,1600000000,x\0y\nb\0,2,1600000001,y\n\0\0\0\0")
    done = prepare("csv", tmp_path / "log.csv", *COLUMNS)
    assert [row["user_id"] for row in done.rows()] == ["a", "b%00"] and done.rows("item")[0]["name"] == "x y"
    assert done.report()["rows"]["dropped"] == {"wrong number of columns": 1}


def test_a_separator_that_stands_in_quoted_names(prepare: Callable, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text('"u";"i, of shop, x";"t, in s, UTC"\na;1;1600000000\n')
    arguments = ("--user", "u", "--item", "i, of shop, x", "--time", "t, in s, UTC")
    assert len(prepare("csv", tmp_path / "log.csv", *arguments).rows()) == 1
