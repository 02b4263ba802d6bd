r"""Convert all common quoting styles of delimited files to RFC 4180, which pyarrow reads.

A quote in a quoted value may be doubled (RFC 4180), escaped by a backslash (MySQL, Spark, Book-Crossing), or bare
("The "best" mug"). A fast vectorized check detects blocks that follow RFC 4180; they stay unchanged. In other blocks,
each row is read by the first style that gives the right number of columns: rows on one line before rows over several
lines, regular styles before bare quotes. A row that fits no style is counted as bad.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

QUOTE = ord('"')
MAX_ROW = 2**20  # maximum bytes of a row over several lines
NEAR = 2**16  # bytes searched for a backslash
LINE_END = re.compile(rb"\r\n|\r|\n")
LINE = re.compile(rb"[^\r\n]*")
ESCAPED_LINE_END = re.compile(rb"\\\r?\n")


@dataclass
class Mended:
    """A block converted to RFC 4180.

    Attributes:
        text: its rows.
        lines: line of each row, counted from 0 at the start of the block.
        bad: lines of rows with a wrong number of columns.
        escapes: lines of rows with quotes escaped by a backslash.
        bare: lines of rows with bare quotes.
    """

    text: bytes = b""
    lines: list[int] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)
    escapes: list[int] = field(default_factory=list)
    bare: list[int] = field(default_factory=list)


def is_regular(text: bytes, separator: str) -> bool:
    """Whether all quotes of a block follow RFC 4180: around whole values, and doubled inside them."""
    import numpy as np  # not needed by a source's arguments

    if text[:1] == b'"' or text[-1:] == b'"':
        text = b"\n" + text + b"\n"
    data = np.frombuffer(text, np.uint8)
    places = np.flatnonzero(data == QUOTE)
    if not len(places):
        return True
    gaps = np.diff(places) > 1  # between runs of quotes
    starts, ends = places, places
    if not gaps.all():
        starts, ends = places[np.append(True, gaps)], places[np.append(gaps, True)]
    odd = (ends - starts) & 1 == 0  # a run of an odd number of quotes opens or closes a value
    # After each run, if regular so far; overflow of uint8 keeps the parity.
    opened = np.cumsum(odd, dtype=np.uint8) & 1 == 1
    if opened[-1]:
        return False
    edge = np.zeros(256, dtype=bool)
    edge[[ord(separator), *b"\r\n"]] = True
    # A separator or line end must precede each run outside a value, and follow each run that leaves no value open.
    return bool((edge[data[ends + 1]] | opened).all() and (edge[data[starts - 1]] | (opened ^ odd)).all())


def without_escapes(text: bytes) -> bytes:
    r"""Convert the escapes ``\"`` and ``\\`` in quoted values to RFC 4180."""
    return b"\\".join(part.replace(b'\\"', b'""') for part in text.split(b"\\\\"))


@dataclass(frozen=True)
class _Patterns:
    """Patterns of rows: ``strict`` and ``escaped`` match a row, ``bare`` one value; two groups per value."""

    strict: re.Pattern[bytes]
    escaped: re.Pattern[bytes]
    bare: re.Pattern[bytes]


@lru_cache
def _patterns(separator: bytes, n_columns: int) -> _Patterns:
    by, spaces = re.escape(separator), b"" if separator == b" " else b" *"
    end = b"(?=" + by + rb"|[\r\n]|\Z)"
    quoted = spaces + b'"%s"' + spaces + end
    plain = rb"((?:%s)*)" + end
    unquoted = b"|(?!" + spaces + b'")' + plain  # a quote at the start always opens a quoted value
    strict = quoted % rb'([^"]*(?:""[^"]*)*)' + unquoted % (b"[^\r\n" + by + b"]")
    escaped = quoted % rb'([^"\\]*(?:(?:\\.|"")[^"\\]*)*)' + unquoted % (rb"[^\r\n\\" + by + rb"]|\\\r\n|\\.")
    bare = quoted % rb"([^\r\n]*?)" + b"|" + plain % (b"[^\r\n" + by + b"]")
    rows = (by.join([b"(?:" + value + b")"] * n_columns) + rb"(?=[\r\n]|\Z)" for value in (strict, escaped))
    return _Patterns(*(re.compile(pattern, re.DOTALL) for pattern in (*rows, bare)))


def mend(text: bytes, separator: str, n_columns: int, escapes: bool) -> tuple[Mended, bool]:
    r"""Read a block row by row.

    Args:
        text: the block.
        separator: between values, one character.
        n_columns: number of columns.
        escapes: earlier rows of the file have escapes, so ``\\`` is a backslash.

    Returns:
        The converted block, and whether the file has escapes. If one is found, the whole block is read with escapes.
    """
    mended = Mended()
    rows: list[bytes] = []
    by = separator.encode()
    for line, (row, values, way) in _rows(text, by, n_columns, escapes):
        if values is None:
            mended.bad.append(line)
            continue
        if way == ESCAPED and not escapes:
            return mend(text, separator, n_columns, escapes=True)
        mended.lines.append(line)
        if way == ESCAPED:
            mended.escapes.append(line)
        if way == BARE:
            mended.bare.append(line)
        rows.append(row if way == PLAIN else by.join(b'"' + value.replace(b'"', b'""') + b'"' for value in values))
    mended.text = b"\n".join([*rows, b""])
    if mended.bad and not escapes and ESCAPED_LINE_END.search(text):
        other, _ = mend(text, separator, n_columns, escapes=True)
        if len(other.bad) < len(mended.bad):
            return other, True
    return mended, escapes


PLAIN, STRICT, ESCAPED, BARE = range(4)
_Row = tuple[bytes, "list[bytes] | None", int]


def _rows(text: bytes, by: bytes, n_columns: int, escapes: bool) -> Iterator[tuple[int, _Row]]:
    """Yield each row that is not blank as (line, (bytes, values, style))."""
    at = line = 0
    while at < len(text):
        found = LINE.match(text, at)
        one_line = found.group() if found else b""
        end, row = at + len(one_line), None
        if b'"' not in one_line and not (escapes and b"\\" in one_line):
            values = one_line.split(by) if one_line else []
            row = (one_line, values if len(values) == n_columns else None, PLAIN)
            if one_line and row[1] is None and b"\\" in one_line:
                row = None
        if row is None:
            row, end = _read_row(text, at, end, by, n_columns, escapes)
        if one_line:
            yield line, row
        broken = LINE_END.match(text, end)
        after = broken.end() if broken else len(text)
        line += len(LINE_END.findall(text, at, after))
        at = after


def _read_row(text: bytes, at: int, line_end: int, by: bytes, n_columns: int, escapes: bool) -> tuple[_Row, int]:
    """Read the row at a position by the first style that fits; also return its end."""
    patterns = _patterns(by, n_columns)
    by_rules = [(patterns.strict, STRICT), (patterns.escaped, ESCAPED)]
    if text.find(b"\\", at, at + NEAR) < 0:  # without a backslash both give the same
        by_rules = by_rules[:1]
    several_lines = None
    for pattern, way in reversed(by_rules) if escapes else by_rules:
        found = pattern.match(text, at, at + MAX_ROW)
        if found is None:
            continue
        values = [
            plain if quoted is None else quoted.replace(b'""', b'"')
            for quoted, plain in zip(found.groups()[::2], found.groups()[1::2], strict=True)
        ]
        read = [_unescaped(value) for value in values] if way == ESCAPED else values
        row = (text[at : found.end()], read, STRICT if read == values else way)  # nothing was escaped
        if found.end() <= line_end or (escapes and way == ESCAPED):  # the file uses escapes
            return row, found.end()
        several_lines = several_lines or (row, found.end())
    if several_lines is not None:
        return several_lines
    return (text[at:line_end], _bare_values(text, at, line_end, patterns.bare, n_columns), BARE), line_end


def _bare_values(text: bytes, at: int, end: int, bare: re.Pattern[bytes], n_columns: int) -> list[bytes] | None:
    """Split a line with bare quotes at its separators; None for a wrong number of values."""
    values: list[bytes] = []
    while len(values) < n_columns:
        found = bare.match(text, at, end)
        if found is None:
            return None
        values.append(found[2] if found[1] is None else found[1])
        at = found.end() + 1
        if at > end:
            break
    return values if len(values) == n_columns and at > end else None


ESCAPE = re.compile(rb"\\(\r\n|[^\w])", re.DOTALL)  # \N (a missing value) and the \t of a path stay


def _unescaped(value: bytes) -> bytes:
    return ESCAPE.sub(rb"\1", value)
