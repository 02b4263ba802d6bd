"""Rows of CSV, TSV and of MovieLens' `::` files, in blocks, with the line of every row that a message may name."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.readers.chunks import COLUMNS, Chunk, listed, string_array
from recbole_longinterest.prepare.readers.files import RawFile, Reading, blocks

SEPARATORS = (",", "\t", ";", "|")
DOUBLE_COLON = "::"
LINE_END = re.compile("\r\n|\r|\n")
STAND_IN = "\x1e"  # a record separator of ASCII in place of ::, because the parser takes one character


@dataclass(frozen=True)
class Layout:
    """How a delimited file is written.

    Attributes:
        separator: between values: one character, or ``::``.
        names: of the columns.
        header: the first line holds the names.
        quoted: values may be in double quotes.
        encoding: of the file; None is UTF-8, and Latin-1 (Windows-1252) for values that are not.
    """

    separator: str
    names: tuple[str, ...]
    header: bool = True
    quoted: bool = True
    encoding: str | None = None


def first_line(source: RawFile, encoding: str | None = None) -> str:
    """The first line of a file that is not blank; "" if there is none."""
    with Reading(source) as reading:
        for _, block in blocks(reading):
            for line in block.split(b"\n"):
                if line.strip():
                    return _decoded(_encoded(source, line.rstrip(b"\r"), encoding))[0]
    return ""


def find_layout(
    source: RawFile,
    encoding: str | None = None,
    quoted: bool = True,
    header: bool = True,
    separator: str | None = None,
) -> Layout:
    """Separator and columns of a file, from its first line.

    Args:
        source: the file.
        encoding: of the file, None to find out.
        quoted: values may be in double quotes.
        header: the first line holds the columns' names; else they are 1, 2, 3 ...
        separator: between values, None to find out.

    Raises:
        ValueError: for an empty file, or a name that two columns have.
    """
    line = first_line(source, encoding)
    if not line:
        raise LongInterestError(f"{source} is empty.")
    if separator is None:
        doubled = DOUBLE_COLON in line and not any(other in line for other in ",\t")
        separator = DOUBLE_COLON if doubled else max(SEPARATORS, key=line.count)
    cells = split_line(line, separator, quoted)
    names = [cell.strip() for cell in cells] if header else [str(at) for at in range(1, len(cells) + 1)]
    twice = sorted(name for name, number in Counter(names).items() if number > 1)
    if twice:
        raise LongInterestError(
            f"{source}: two columns are named {listed(twice)}. Rename one of them, or say --no-header."
        )
    return Layout(separator, tuple(names), header, quoted and separator != DOUBLE_COLON, encoding)


def split_line(line: str, separator: str, quoted: bool) -> list[str]:
    """The values of a line."""
    if separator == DOUBLE_COLON or not quoted:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # a value beyond the csv module's limit
        return line.split(separator)


def read_delimited(
    source: RawFile, layout: Layout, wanted: Sequence[str], advance: Callable[[int], object] = lambda stored: None
) -> Iterator[Chunk]:
    """Columns of a file.

    Args:
        source: the file.
        layout: how it is written.
        wanted: names of the columns to read.
        advance: told of stored bytes that were read.

    Yields:
        Chunks whose columns are strings; rows with another number of columns are counted as bad.

    Raises:
        ValueError: for a column that is missing, and a file that cannot be read.
    """
    missing = [name for name in wanted if name not in layout.names]
    if missing:
        raise LongInterestError(
            f"{source} has no column {', '.join(missing)}; its columns are: {listed(layout.names)}. "
            "Check the names, and what stands between the columns."
        )
    with Reading(source, advance) as reading:
        skips_header = layout.header
        for line, block in blocks(reading, layout.quoted):
            block, start = _encoded(source, block, layout.encoding), line
            if skips_header:
                while block and not block.split(b"\n", 1)[0].strip():  # blank lines above it
                    block, start = block.partition(b"\n")[2], start + 1
                if not block:
                    continue
                skips_header = False
                block, start = block.partition(b"\n")[2], start + 1
            if block and not block.isspace():
                yield _parse(source, layout, wanted, block, start)


def _parse(source: RawFile, layout: Layout, wanted: Sequence[str], block: bytes, start: int) -> Chunk:
    import pyarrow as pa  # not needed by a source's arguments
    import pyarrow.csv

    block, recoded = _as_utf8(block, layout.separator)
    text, separator = block, layout.separator
    if separator == DOUBLE_COLON:
        text, separator = block.replace(DOUBLE_COLON.encode(), STAND_IN.encode()), STAND_IN
    skipped = 0

    def skip(row: object) -> str:
        nonlocal skipped
        skipped += 1
        return "skip"

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
    """Line ends inside the quoted values of a block, but for blank lines there."""
    return max(sum(not line.isspace() for line in text.splitlines()) - rows, 0)


def _record_lines(block: bytes, layout: Layout, start: int, valid: bool) -> Iterator[int]:
    """Line numbers of the block's rows that have, or have not, the right number of columns."""
    text = block.decode("latin-1")  # a character a byte: lines and separators are what counts
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


def _as_utf8(block: bytes, separator: str) -> tuple[bytes, int]:
    """A block whose values are all UTF-8, and how many were not."""
    import pyarrow as pa  # not needed by a source's arguments

    try:
        pa.array([block], pa.large_binary()).cast(pa.large_string())
        return block, 0
    except pa.ArrowInvalid:
        recoded, cell_end = 0, separator.encode()
        lines = []
        for line in block.split(b"\n"):
            cells = []
            for cell in line.split(cell_end):
                text, other = _decoded(cell)
                recoded += other
                cells.append(text.encode())
            lines.append(cell_end.join(cells))
        return b"\n".join(lines), recoded


def _decoded(value: bytes) -> tuple[str, bool]:
    """A value, and whether it is in another encoding than UTF-8."""
    try:
        return value.decode("utf-8"), False
    except UnicodeDecodeError:
        try:
            return value.decode("cp1252"), True
        except UnicodeDecodeError:
            return value.decode("latin-1"), True


def _encoded(source: RawFile, block: bytes, encoding: str | None) -> bytes:
    """A block in UTF-8."""
    if encoding is None:
        return block
    try:
        return block.decode(encoding).encode("utf-8")
    except (UnicodeError, LookupError) as error:
        raise LongInterestError(
            f"{source} is not in the encoding {encoding}: {error}. Leave --encoding out."
        ) from error
