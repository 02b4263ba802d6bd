"""Atomic files are read without RecBole, in any encoding, and a quote that swallows lines is an error."""

import subprocess
import sys
from pathlib import Path

import pytest

from recbole_longinterest.common.atomic_files import ItemFileError, check_lines, item_rows, read_header, without_mark


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_a_header_is_read_with_and_without_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "a.inter"
    file.write_text("user_id:token\ttimestamp:float\n1\t2\n", encoding=encoding)
    asked = "utf-8" if encoding == "utf-8-sig" else encoding
    assert read_header(str(file), "\t", asked) == [("user_id", "token"), ("timestamp", "float")]


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ("user_id:token,a:float", r"must name each column as name:type .* got 'user_id:token,a:float'"),
        ("user_id:tokens", "a type of token, token_seq, float, float_seq; got 'user_id:tokens'"),
        ("a:token\ta:float", "names the column a more than once"),
    ],
)
def test_a_header_of_another_form_is_refused(tmp_path: Path, head: str, says: str) -> None:
    file = tmp_path / "a.inter"
    file.write_text(f"{head}\n")
    with pytest.raises(ValueError, match=says):
        read_header(str(file), "\t", None)


def test_only_utf_8_is_read_with_its_mark() -> None:
    assert [without_mark(name) for name in (None, "UTF_8", "utf8", "latin-1")] == [*["utf-8-sig"] * 3, "latin-1"]


def test_a_quote_that_takes_in_lines_is_found_and_blank_lines_are_no_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.inter"
    file.write_text('a:token\tb:token\n1\t"x\n2\ty"\n\n3\tz')
    check_lines(str(file), 3, "\t", "utf-8")
    with pytest.raises(ValueError, match=r"3 lines are read as 2 rows\. A quote"):
        check_lines(str(file), 2, "\t", "utf-8")


def test_rows_of_items_keep_quotes_and_say_their_line(tmp_path: Path) -> None:
    file = tmp_path / "a.item"
    file.write_text('\ufeffitem_id:token\ttitle:token\n\n1\t"Null\u2028x\r\n', encoding="utf-8", newline="")
    assert list(item_rows(file, "\t", "utf-8")) == [(1, ["item_id:token", "title:token"]), (3, ["1", '"Null\u2028x'])]
    file.write_bytes("1\té\n".encode("latin-1"))
    with pytest.raises(ItemFileError, match=r"cannot be read in the encoding utf-8: .* encoding: latin-1"):
        list(item_rows(file, "\t", "utf-8"))


def test_reading_atomic_files_needs_neither_recbole_nor_pandas() -> None:
    code = (
        "import sys, recbole_longinterest.common.atomic_files; print({'recbole', 'torch', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
