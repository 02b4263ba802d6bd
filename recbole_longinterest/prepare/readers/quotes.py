r"""Quotes of delimited files as everybody writes them, made those of RFC 4180, which pyarrow reads.

A quote in a quoted value is doubled (RFC 4180), escaped by a backslash (MySQL, Spark, Book-Crossing), or stands bare
("The "best" mug"). Blocks whose quotes are those of RFC 4180 are found by their quotes alone, vectorized, and are left
as they are. In others every row is read in the first of these ways that gives the right number of columns: on one line
before several, by the rules before bare quotes. A row that no way fits is counted and not guessed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

QUOTE = ord('"')
MAX_ROW = 2**20  # bytes of a row over several lines
LINE_END = re.compile(rb"\r\n|\r|\n")
LINE = re.compile(rb"[^\r\n]*")
ESCAPED_LINE_END = re.compile(rb"\\\r?\n")


@dataclass
class Mended:
    """A block in RFC 4180.

    Attributes:
        text: its rows.
        lines: line of each row, from 0 at the block's start.
        bad: lines of rows with another number of columns.
        escapes: lines of rows with quotes escaped by a backslash.
        bare: lines of rows with bare quotes.
    """

    text: bytes = b""
    lines: list[int] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)
    escapes: list[int] = field(default_factory=list)
    bare: list[int] = field(default_factory=list)


def is_regular(text: bytes, separator: str) -> bool:
    """Whether all quotes of a block are those of RFC 4180: around whole values, and doubled in them."""
    import numpy as np  # not needed by a source's arguments

    data = np.frombuffer(text, np.uint8)
    places = np.flatnonzero(data == QUOTE)
    if not len(places):
        return True
    starts = places[np.append(True, np.diff(places) > 1)]  # of runs of quotes
    ends = places[np.append(np.diff(places) > 1, True)] + 1
    odd = (ends - starts) % 2 == 1
    inside = np.append(False, np.cumsum(odd)[:-1] % 2 == 1)  # before each run, if all is regular so far
    ends_of_value = np.zeros(256, dtype=bool)
    ends_of_value[[ord(separator), *b"\r\n"]] = True
    after = np.append(True, ends_of_value[data[starts[1:] - 1]]) if starts[0] == 0 else ends_of_value[data[starts - 1]]
    before = np.append(ends_of_value[data[ends[:-1]]], True) if ends[-1] == len(data) else ends_of_value[data[ends]]
    opens_well = inside | after
    closes_well = before | (inside & ~odd) | (~inside & odd)
    return bool((opens_well & closes_well).all() and odd.sum() % 2 == 0)


def without_escapes(text: bytes) -> bytes:
    r"""A block whose escapes are ``\"`` and ``\\`` in quoted values, as RFC 4180 has them."""
    return b"\\".join(part.replace(b'\\"', b'""') for part in text.split(b"\\\\"))


@lru_cache
def _patterns(separator: bytes) -> tuple[re.Pattern[bytes], ...]:
    """A value by RFC 4180, with escapes, and with bare quotes; each with what follows it."""
    by, spaces = re.escape(separator), b"" if separator == b" " else b" *"
    end = b"(?=" + by + rb"|[\r\n]|\Z)"
    quoted = spaces + b'"%s"' + spaces + end
    plain = rb"|((?:%s)*)" + end
    unquoted = rb"|(?!" + spaces + b'")' + plain[1:]  # by the rules, a quote at the start opens a quoted value
    strict = quoted % rb'([^"]*(?:""[^"]*)*)' + unquoted % (b"[^\r\n" + by + b"]")
    escaped = quoted % rb'([^"\\]*(?:(?:\\.|"")[^"\\]*)*)' + unquoted % (rb"[^\r\n\\" + by + rb"]|\\\r\n|\\.")
    bare = quoted % rb"([^\r\n]*?)" + plain % (b"[^\r\n" + by + b"]")
    return tuple(re.compile(pattern, re.DOTALL) for pattern in (strict, escaped, bare))


def mend(text: bytes, separator: str, n_columns: int, escapes: bool) -> tuple[Mended, bool]:
    r"""Read a block row by row.

    Args:
        text: the block.
        separator: between values, one character.
        n_columns: of a row.
        escapes: earlier rows of the file have escapes, so that ``\\`` is a backslash.

    Returns:
        The block, and whether the file has escapes. With the first of them the whole block is read so.
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
    """Every row that is not blank, with its line: its bytes, its values, and the way in which it was read."""
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
    """The row that starts at a place, read in the first way that fits, and where it ends."""
    strict, escaped, bare = _patterns(by)
    by_rules = [(escaped, ESCAPED), (strict, STRICT)] if escapes else [(strict, STRICT), (escaped, ESCAPED)]
    several_lines = []
    for pattern, way in by_rules:
        values, end = _values(text, at, min(at + MAX_ROW, len(text)), pattern, by, n_columns)
        if values is None:
            continue
        read = [_unescaped(value) for value in values] if way == ESCAPED else values
        if way == ESCAPED and read == values:  # nothing was escaped
            way = STRICT
        row = (text[at:end], read, way)
        if end <= line_end or pattern is by_rules[0][0] is escaped:  # escapes are the file's rule
            return row, end
        several_lines.append((row, end))
    if several_lines:
        return several_lines[0]
    values, _ = _values(text, at, line_end, bare, by, n_columns)
    return (text[at:line_end], values, BARE), line_end


def _values(
    text: bytes, at: int, limit: int, pattern: re.Pattern[bytes], by: bytes, n_columns: int
) -> tuple[list[bytes] | None, int]:
    """The values of the row that starts at a place, None if it has another number; and where it ends."""
    values = []
    while len(values) < n_columns:
        found = pattern.match(text, at, limit)
        if found is None:
            return None, at
        quoted, plain = found.groups()
        if quoted is None:
            values.append(plain)
        else:
            values.append(quoted.replace(b'""', b'"') if pattern is not _patterns(by)[2] else quoted)
        at = found.end()
        if len(values) == n_columns or text[at : at + 1] != by or at >= limit:
            break
        at += 1
    whole = len(values) == n_columns and text[at : at + 1] in (b"", b"\r", b"\n")
    return (values if whole else None), at


ESCAPE = re.compile(rb"\\(\r\n|[^\w])", re.DOTALL)  # \N, which is no value, and the \t of a path stay


def _unescaped(value: bytes) -> bytes:
    return ESCAPE.sub(rb"\1", value)
