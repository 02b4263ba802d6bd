"""Read CSV, TSV and MovieLens' `::` files in blocks, with line numbers for messages."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.readers.chunks import BARE, COLUMNS, ESCAPES, Chunk, listed, string_array
from recbole_longinterest.prepare.readers.encodings import as_utf8, decoded
from recbole_longinterest.prepare.readers.files import RawFile, Reading, blocks
from recbole_longinterest.prepare.readers.quotes import Mended, is_regular, mend, without_escapes

SEPARATORS = (",", "\t", ";", "|")
DOUBLE_COLON = "::"
QUOTED = re.compile('"[^"]*"')
LINE_END = re.compile("\r\n|\r|\n")
STAND_IN = "\x1e"  # replaces ::, because the parser needs a separator of one character


@dataclass(frozen=True)
class Layout:
    """Format of a delimited file.

    Attributes:
        separator: between values: one character, or ``::``.
        names: column names.
        header: the first line holds the names.
        quoted: values may be in double quotes.
        encoding: encoding of the file; None for UTF-8, with Latin-1 (Windows-1252) for values that are not UTF-8.
    """

    separator: str
    names: tuple[str, ...]
    header: bool = True
    quoted: bool = True
    encoding: str | None = None


def first_line(source: RawFile, encoding: str | None = None) -> str:
    """Return the first line of a file that is not blank; "" for an empty file."""
    return next(iter(_first_lines(source, encoding, 1)), "")


def _first_lines(source: RawFile, encoding: str | None, number: int) -> list[str]:
    """Return the first lines of a file that are not blank."""
    lines: list[str] = []
    with Reading(source) as reading:
        for _, block in blocks(reading, encoding=encoding):
            for line in block.split(b"\n"):
                if line.strip():
                    lines.append(decoded(line.rstrip(b"\r"))[0])
                if len(lines) == number:
                    return lines
    return lines


def find_layout(
    source: RawFile,
    encoding: str | None = None,
    quoted: bool = True,
    header: bool = True,
    separator: str | None = None,
) -> Layout:
    """Detect separator and columns of a file from its first lines.

    Args:
        source: the file.
        encoding: encoding of the file, None to detect it.
        quoted: values may be in double quotes.
        header: the first line holds the column names; else they are 1, 2, 3 ...
        separator: between values, None to detect it.

    Raises:
        ValueError: for an empty file, or a repeated column name.
    """
    lines = _first_lines(source, encoding, 2)
    if not lines:
        raise LongInterestError(f"{source} is empty.")
    line = lines[0]
    if separator is None:
        outside = QUOTED.sub("", line) if quoted else line
        doubled = DOUBLE_COLON in line and not any(other in line for other in ",\t")
        separator = DOUBLE_COLON if doubled else max(SEPARATORS, key=outside.count)
    cells = split_line(line, separator, quoted)
    names = [cell.strip() for cell in cells] if header else [str(at) for at in range(1, len(cells) + 1)]
    if header and len(lines) > 1:  # only one of the two lines ends in a separator
        row = split_line(lines[1], separator, quoted)
        if len(row) == len(names) + 1 and not row[-1].strip():
            names.append("")
        elif len(row) == len(names) - 1 and not names[-1]:
            names.pop()
    twice = sorted(name for name, number in Counter(names).items() if name and number > 1)
    if twice:
        raise LongInterestError(
            f"{source}: two columns are named {listed(twice)}. Rename one of them, or say --no-header."
        )
    named = [name or f"column {at} without a name" for at, name in enumerate(names, start=1)]
    return Layout(separator, tuple(named), header, quoted and separator != DOUBLE_COLON, encoding)


def split_line(line: str, separator: str, quoted: bool) -> list[str]:
    """Split a line into values."""
    if separator == DOUBLE_COLON or not quoted:
        return line.split(separator)
    escapes = '\\"' in line and not is_regular(line.encode(), separator)
    try:
        reader = csv.reader(
            [line], delimiter=separator, skipinitialspace=separator != " ", escapechar="\\" if escapes else None
        )
        return next(reader, [])
    except csv.Error:  # a value beyond the csv module's limit
        return line.split(separator)


def read_delimited(
    source: RawFile, layout: Layout, wanted: Sequence[str], advance: Callable[[int], object] = lambda stored: None
) -> Iterator[Chunk]:
    """Read columns of a file.

    Args:
        source: the file.
        layout: its format.
        wanted: names of the columns to read.
        advance: called with the number of stored bytes read, for the progress bar.

    Yields:
        Chunks of string columns; rows with a wrong number of columns are counted as bad.

    Raises:
        ValueError: for a missing column or a file that cannot be read.
    """
    missing = [name for name in wanted if name not in layout.names]
    if missing:
        raise LongInterestError(
            f"{source} has no column {', '.join(missing)}; its columns are: {listed(layout.names)}. "
            "Check the names and the separator."
        )
    with Reading(source, advance) as reading:
        skips_header, quotes = layout.header, _Quotes()
        for line, block in blocks(reading, layout.quoted, layout.encoding):
            start = line
            if skips_header:
                while block and not block.split(b"\n", 1)[0].strip():  # blank lines above it
                    block, start = block.partition(b"\n")[2], start + 1
                if not block:
                    continue
                skips_header = False
                block, start = block.partition(b"\n")[2], start + 1
            if block and not block.isspace():
                yield _chunk(source, layout, wanted, block, start, quotes)


@dataclass
class _Quotes:
    """State across the blocks of a file: whether its quotes are escaped by a backslash."""

    escapes: bool = False


def _chunk(source: RawFile, layout: Layout, wanted: Sequence[str], block: bytes, start: int, quotes: _Quotes) -> Chunk:
    """Parse a block as RFC 4180 if it conforms, else row by row."""
    block, recoded = as_utf8(block, layout.separator)
    by, n_columns = layout.separator, len(layout.names)
    if not ((layout.quoted and b'"' in block) or quotes.escapes):
        chunk = _parse(source, layout, wanted, block, start, recoded)
        if not chunk.bad or b"\\" not in block or not layout.quoted:  # a\,b may be one value
            return chunk
    else:
        plain = b"\\" + by.encode() not in block and b"\\\n" not in block and b"\\\r" not in block
        for escapes in (False, True):
            if escapes == quotes.escapes or (escapes and plain and b'\\"' in block):
                text = without_escapes(block) if escapes and plain else block
                if (plain or not escapes) and is_regular(text, by):
                    chunk = _parse(source, layout, wanted, text, start, recoded)
                    if not chunk.bad or b"\\" not in block:
                        quotes.escapes = escapes
                        return _escaped(chunk, block, start) if escapes else chunk
    mended, quotes.escapes = mend(block, by, n_columns, quotes.escapes)
    return _of_mended(_parse(source, layout, wanted, mended.text, start, recoded), mended, start)


def _escaped(chunk: Chunk, block: bytes, start: int) -> Chunk:
    number = block.count(b'\\"')
    if not number:
        return chunk
    first = start + block.count(b"\n", 0, block.find(b'\\"'))
    return replace(chunk, mended={ESCAPES: number}, first_mended={ESCAPES: first})


def _of_mended(chunk: Chunk, mended: Mended, start: int) -> Chunk:
    """Add line numbers in the file to a chunk that :func:`mend` has repaired."""
    done = {what: lines for what, lines in ((ESCAPES, mended.escapes), (BARE, mended.bare)) if lines}
    return replace(
        chunk,
        line_of=lambda row: start + mended.lines[row],
        bad={COLUMNS: len(mended.bad)} if mended.bad else {},
        first_bad=lambda: start + mended.bad[0],
        mended={what: len(lines) for what, lines in done.items()},
        first_mended={what: start + lines[0] for what, lines in done.items()},
    )


def _parse(source: RawFile, layout: Layout, wanted: Sequence[str], block: bytes, start: int, recoded: int) -> Chunk:
    import pyarrow as pa  # not needed by a source's arguments
    import pyarrow.csv

    text, separator = block, layout.separator
    if separator == DOUBLE_COLON:
        text, separator = block.replace(DOUBLE_COLON.encode(), STAND_IN.encode()), STAND_IN
    skipped = 0

    def skip(row: object) -> str:
        nonlocal skipped
        skipped += 1
        return "skip"

    if not text:
        return Chunk(str(source), {name: string_array([]) for name in wanted}, 0, line_of=lambda row: start)
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(text),
            read_options=pa.csv.ReadOptions(column_names=list(layout.names), block_size=len(text) + 1),
            parse_options=pa.csv.ParseOptions(
                delimiter=separator,
                quote_char='"' if layout.quoted else False,
                newlines_in_values=layout.quoted and b'"' in text,
                invalid_row_handler=skip,
            ),
            convert_options=pa.csv.ConvertOptions(
                include_columns=list(wanted),
                column_types={name: pa.large_string() for name in layout.names},
                strings_can_be_null=False,
                check_utf8=False,
            ),
        )
    except pa.ArrowException as error:
        raise LongInterestError(
            f"{source}, in the lines from {start} on: {' '.join(ascii(str(error))[1:-1].split())}. Check separator "
            "and quotes."
        ) from error
    table = table.combine_chunks()
    columns = {name: table[name].chunk(0) if table.num_rows else string_array([]) for name in wanted}
    counts = {COLUMNS: skipped} if skipped else {}

    def lines(valid: bool) -> Iterator[int]:
        return _record_lines(block, layout, start, valid)

    return Chunk(
        str(source),
        columns,
        table.num_rows,
        line_of=lambda row: next((line for at, line in enumerate(lines(valid=True)) if at == row), start),
        bad=counts,
        first_bad=lambda: next(lines(valid=False), start),
        recoded=recoded,
        joined=_joined(text, table.num_rows + skipped) if layout.quoted and b'"' in text else 0,
    )


def _joined(text: bytes, rows: int) -> int:
    """Count the line ends inside the quoted values of a block, without blank lines."""
    if text.count(b"\n") + (text[-1:] != b"\n") == rows and text.count(b"\r") == text.count(b"\r\n"):
        return 0  # the usual case, fast
    return max(sum(not line.isspace() for line in text.splitlines()) - rows, 0)


def _record_lines(block: bytes, layout: Layout, start: int, valid: bool) -> Iterator[int]:
    """Yield the line numbers of the rows with (or without) the right number of columns."""
    text = block.decode("latin-1")  # one character per byte: only lines and separators matter
    n_columns = len(layout.names)
    if not layout.quoted:
        for at, line in enumerate(LINE_END.split(text)):
            if line and (len(line.split(layout.separator)) == n_columns) == valid:
                yield start + at
        return
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=layout.separator)
    before = 0
    while True:
        try:
            row = next(rows, None)
        except csv.Error:
            row = [""] * n_columns
        if row is None:
            return
        if row and (len(row) == n_columns) == valid:
            yield start + before
        before = rows.line_num
