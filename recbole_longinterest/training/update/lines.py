"""Read lines of RecBole's atomic files without interpreting quotes; copy and append them byte by byte."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from recbole_longinterest.common.atomic_files import read_header, without_mark
from recbole_longinterest.common.errors import LongInterestError


class MergeError(LongInterestError):
    """A file of new events, items or users that does not fit the training's data."""


def header_of(path: Path, separator: str, encoding: str) -> dict[str, str]:
    """Return the types of a file's columns by name.

    Raises:
        MergeError: if the file is missing or its first line is not a header.
    """
    if not path.is_file():
        raise MergeError(f"There is no file {path}.")
    try:
        return dict(read_header(str(path), separator, encoding))
    except ValueError as error:
        raise MergeError(str(error)) from error


def rows_of(path: Path, separator: str, encoding: str) -> Iterator[list[str]]:
    """Yield the cells of every line that is not blank, without the header.

    Raises:
        MergeError: for a line with more or fewer cells than the header.
    """
    with path.open(encoding=without_mark(encoding), newline="\n") as file:
        columns = len(next(file, "").rstrip("\r\n").split(separator))
        for number, line in enumerate(file, start=2):
            if not line.strip():
                continue
            cells = line.rstrip("\r\n").split(separator)
            if len(cells) != columns:
                raise MergeError(
                    f"{path}, line {number}: {len(cells)} columns where the header has {columns}. Correct the line."
                )
            yield cells


def in_columns(header: dict[str, str], given: dict[str, str], rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """Yield the rows of a new file with the cells in the order of the old header.

    Args:
        header: columns of the old file.
        given: columns of the new file; missing columns become empty cells.
        rows: rows of the new file.
    """
    place = {name: number for number, name in enumerate(given)}
    for cells in rows:
        yield [cells[place[name]] if name in place else "" for name in header]


def copy_whole(old: Path, file: BinaryIO, encoding: str) -> str:
    """Copy a file byte by byte and end it with a line break.

    Args:
        old: the file.
        file: the copy, open for writing.
        encoding: encoding of the file.

    Returns:
        The encoding for appended lines, see :func:`encoding_for_more`.
    """
    with old.open("rb") as source:
        more = encoding_for_more(encoding, source.read(4))
        source.seek(0)
        shutil.copyfileobj(source, file)
        end = "\n".encode(more)
        size = source.tell()
        source.seek(max(0, size - len(end)))
        if size and source.read() != end:
            file.write(end)
    return more


def encoding_for_more(encoding: str, begin: bytes) -> str:
    """Return the encoding for text appended to a file, which must not add a second byte-order mark.

    Args:
        encoding: encoding of the file.
        begin: its first bytes, which show the byte order of UTF-16 and UTF-32.
    """
    kind = encoding.lower().replace("_", "-").replace("utf-", "utf")
    if kind == "utf8-sig":
        return "utf-8"
    if kind in ("utf16", "utf32"):
        order = "be" if begin[:1] in (b"\xfe", b"\x00") else "le"
        return f"utf-{kind[3:]}-{order}"
    return encoding
