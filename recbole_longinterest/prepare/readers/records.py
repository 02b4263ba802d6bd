"""Read records from JSON-lines files, and from files of Python dicts (Amazon 2014, Steam)."""

import ast
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.cleaning.escaping import SURROGATES
from recbole_longinterest.prepare.cleaning.missing_values import ONLY_EMPTY
from recbole_longinterest.prepare.readers.chunks import RECORD, Chunk, string_array
from recbole_longinterest.prepare.readers.files import RawFile, Reading, blocks

RECORDS = 50_000  # rows per chunk
ARRAY = re.compile(rb"\s*\[\s*\{")
Row = Mapping[str, str | None]


def read_records(
    source: RawFile, advance: Callable[[int], object] = lambda stored: None
) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Read a file with one record per line.

    Args:
        source: the file.
        advance: called with the number of stored bytes read, for the progress bar.

    Yields:
        Line number and record; None as the record of a line that is neither JSON nor a Python dict.

    Raises:
        ValueError: for a file that is a single JSON array, or cannot be read.
    """
    with Reading(source, advance) as reading:
        for start, block in blocks(reading):
            if start == 1 and ARRAY.match(block):
                raise LongInterestError(f"{source} is one JSON array. Write one record per line, as jq -c '.[]' does.")
            for at, line in enumerate(block.split(b"\n")):
                if line.strip():
                    yield start + at, parse_record(line)


def parse_record(line: bytes) -> dict[str, Any] | None:
    """Parse a line as JSON or as a Python dict literal (never evaluated as code); None if it is neither."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        text = line.decode("cp1252", "replace")
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        try:
            record = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None
    return record if isinstance(record, dict) else None


def read_events(
    source: RawFile,
    columns: Sequence[str],
    rows_of: Callable[[dict[str, Any]], Sequence[Row]],
    advance: Callable[[int], object] = lambda stored: None,
    missing: frozenset[str] = ONLY_EMPTY,
) -> Iterator[Chunk]:
    """Read events from a file of records.

    Args:
        source: the file.
        columns: names of the columns.
        rows_of: function from a record to its rows, column -> text; an absent or None value is missing.
        advance: called with the number of stored bytes read, for the progress bar.
        missing: words that mean a missing value; only empty text by default, because JSON has null.

    Yields:
        Chunks; lines that are not records are counted as bad.
    """
    rows: list[Row] = []
    lines: list[int] = []
    bad: list[int] = []
    for line, record in read_records(source, advance):
        if record is None:
            bad.append(line)
        else:
            found = rows_of(record)
            rows += found
            lines += [line] * len(found)
        if len(rows) + len(bad) >= RECORDS:
            yield _chunk(source, columns, rows, lines, bad, missing)
            rows, lines, bad = [], [], []
    if rows or bad:
        yield _chunk(source, columns, rows, lines, bad, missing)


def _chunk(
    source: RawFile,
    columns: Sequence[str],
    rows: list[Row],
    lines: list[int],
    bad: list[int],
    missing: frozenset[str],
) -> Chunk:
    return Chunk(
        str(source),
        {name: string_array([row.get(name) for row in rows]) for name in columns},
        len(rows),
        line_of=lines.__getitem__,
        bad={RECORD: len(bad)} if bad else {},
        first_bad=lambda: bad[0],
        missing=missing,
    )


def bad_record(source: RawFile, line: int) -> Chunk:
    """Return a chunk without rows that reports one line that is not a record."""
    return Chunk(str(source), {"none": string_array([])}, 0, lambda row: line, {RECORD: 1}, lambda: line)


def text_of(value: object) -> str | None:
    """Convert a JSON value to text: whole numbers without a point, true as 1, None for null, lists and objects."""
    if isinstance(value, str):
        return SURROGATES.sub("\ufffd", value)
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and not math.isfinite(value):  # Python writes NaN for missing values
        return None
    if value is None or isinstance(value, (dict, list, tuple, set, bytes, complex)):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return str(int(value))
    return str(value)
