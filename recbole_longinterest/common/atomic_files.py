"""Read RecBole's atomic files without RecBole: headers, byte-order marks, line checks and item rows.

An atomic file is a table as text. Its first line names each column as ``name:type``, for example
``user_id:token<tab>item_id:token<tab>timestamp:float``.
"""

from collections.abc import Iterator
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError

COLUMN_TYPES = ("token", "token_seq", "float", "float_seq")
BLOCK = 2**24  # bytes read at a time


class ItemFileError(LongInterestError):
    """An ``.item`` file that cannot be read."""


def without_mark(encoding: str | None) -> str:
    """Return an encoding that reads a file with or without a byte-order mark.

    Args:
        encoding: encoding of the file; None for UTF-8.
    """
    encoding = encoding or "utf-8"
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def read_header(path: str, separator: str, encoding: str | None) -> list[tuple[str, str]]:
    """Read the names and types of a file's columns.

    Args:
        path: an atomic file.
        separator: between columns.
        encoding: encoding of the file; None means UTF-8.

    Returns:
        (name, type) of each column.

    Raises:
        ValueError: for a column that is not ``name:type`` with one of :data:`COLUMN_TYPES`, for a column named twice,
            and for a file in another encoding.
    """
    try:
        with Path(path).open(encoding=without_mark(encoding)) as file:
            head = file.readline().rstrip("\r\n")
    except (UnicodeDecodeError, LookupError) as error:
        raise LongInterestError(
            f"{path} cannot be read in the encoding {without_mark(encoding)}: {error}. Set the key encoding to the "
            "file's own, for instance encoding: latin-1."
        ) from error
    columns: list[tuple[str, str]] = []
    for column in head.split(separator):
        name, _, kind = column.partition(":")
        if not name or kind not in COLUMN_TYPES:
            raise LongInterestError(
                f"{path}: the first line must name each column as name:type with a type of {', '.join(COLUMN_TYPES)}; "
                f"got {column!r}. Check it, and field_separator ({separator!r})."
            )
        if name in dict(columns):
            raise LongInterestError(
                f"{path}: the first line names the column {name} more than once. Keep only one of them."
            )
        columns.append((name, kind))
    return columns


def check_lines(path: str, rows: int, separator: str, encoding: str | None) -> None:
    """Check that a quote-aware reader found one row per line.

    For such a reader, a quote at the start of a value swallows everything up to the next quote, including line ends.

    Args:
        path: an atomic file.
        rows: number of rows that the reader found, without the header.
        separator: between columns.
        encoding: encoding of the file.

    Raises:
        ValueError: if the number of lines differs, not counting the header and blank lines.
    """
    blanks = " \t\r\n".replace(separator, "")
    if rows == _line_ends(path) - 1:
        return
    with Path(path).open(encoding=encoding) as file:  # a last line without an end, blank lines, UTF-16
        lines = sum(1 for line in file if line.strip(blanks)) - 1
    if rows != lines:
        raise LongInterestError(
            f'{path}: {lines} lines are read as {rows} rows. A quote (") at the start of a value makes everything up '
            "to the next quote part of that value. Remove such quotes."
        )


def _line_ends(path: str) -> int:
    number = 0
    with Path(path).open("rb") as file:
        while block := file.read(BLOCK):
            number += block.count(b"\n")
    return number


def item_rows(path: Path, field_separator: str, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """Read the rows of an ``.item`` file, header included; quotes have no special meaning.

    Args:
        path: the file.
        field_separator: between columns.
        encoding: encoding of the file.

    Yields:
        Line number (from 1) and cells of each line that is not blank.

    Raises:
        ItemFileError: for a file in another encoding.
    """
    try:
        # newline="\n": a line ends there only, not at the other characters that str.splitlines breaks at
        with path.open(encoding=without_mark(encoding), newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n").split(field_separator)
    except (UnicodeError, LookupError) as error:
        raise ItemFileError(
            f"{path} cannot be read in the encoding {encoding}: {error}. "
            "Set the key encoding to the file's own, for instance encoding: latin-1."
        ) from error
