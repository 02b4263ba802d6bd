"""Read columns of CSV, Parquet and JSON-lines files as chunks."""

import io
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.cleaning.missing_values import MISSING_VALUES
from recbole_longinterest.prepare.item_lists import joined_list, strings_in
from recbole_longinterest.prepare.readers.chunks import Chunk, listed, string_array
from recbole_longinterest.prepare.readers.delimited import find_layout, read_delimited
from recbole_longinterest.prepare.readers.files import BLOCK, RawFile, Reading
from recbole_longinterest.prepare.readers.records import read_events, text_of

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET = (".parquet", ".pq")
JSON = (".json", ".jsonl", ".ndjson")
PARQUET_ROWS = 500_000
Advance = Callable[[int], object]


@dataclass(frozen=True)
class Form:
    """Format of delimited files, as given by the user.

    Attributes:
        encoding: None for UTF-8, with Latin-1 for values that are not UTF-8.
        separator: None to detect it from the first line.
        header: the first line holds names; else columns are named 1, 2, 3 ...
        quoted: values may be in double quotes.
        missing: words that mean a missing value, in lower case.
    """

    encoding: str | None = None
    separator: str | None = None
    header: bool = True
    quoted: bool = True
    missing: frozenset[str] = MISSING_VALUES


def read_table(
    source: RawFile, columns: Sequence[str], form: Form, advance: Advance, texts: Collection[str] = ()
) -> Iterator[Chunk]:
    """Read columns of a table of any format.

    Args:
        source: the file.
        columns: names of the columns.
        form: format of delimited files.
        advance: called with the number of stored bytes read, for the progress bar.
        texts: names of the columns that may hold lists.

    Raises:
        ValueError: for a missing column or a file that cannot be read.
    """
    columns = list(dict.fromkeys(columns))
    if source.suffix in PARQUET:
        return _with_missing(_read_parquet(source, columns, advance, texts), form)
    if source.suffix in JSON:
        return _with_missing(_read_json(source, columns, advance), form)
    layout = find_layout(source, form.encoding, form.quoted, form.header, form.separator)
    return _with_missing(read_delimited(source, layout, columns, advance), form)


def _with_missing(chunks: Iterator[Chunk], form: Form) -> Iterator[Chunk]:
    return (replace(chunk, missing=form.missing) for chunk in chunks)


MOST_NAMES = 100  # field names collected for the message


def _read_json(source: RawFile, columns: Sequence[str], advance: Advance) -> Iterator[Chunk]:
    """Read JSON lines; a column that occurs in no record is an error."""
    missing, seen = set(columns), set[str]()

    def row(record: dict[str, Any]) -> list[dict[str, str | None]]:
        if missing:
            missing.difference_update(record)
            if len(seen) < MOST_NAMES:
                seen.update(record)
        return [{name: _text(record.get(name)) for name in columns}]

    n_rows = 0
    for chunk in read_events(source, columns, row, advance):
        n_rows += chunk.n_rows
        yield chunk
    if n_rows and missing:
        absent = [name for name in columns if name in missing]
        raise LongInterestError(f"{source}: no record has {', '.join(absent)}; they have: {listed(sorted(seen))}.")


def _text(value: object) -> str | None:
    """Convert a value to text; a list is stored as :func:`joined_list`."""
    return joined_list(strings_in(value)) or None if isinstance(value, (list, tuple, dict)) else text_of(value)


def _as_text(column: "pa.Array", source: RawFile, name: str) -> "pa.Array":
    """Convert a column of bytes or lists to strings; other columns stay unchanged."""
    import pyarrow as pa  # not needed by the arguments

    if pa.types.is_nested(column.type):
        return string_array([_text(value) for value in column.to_pylist()])
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        return column
    try:
        return column.cast(pa.large_string())
    except pa.ArrowInvalid as error:
        raise LongInterestError(
            f"{source}: the column {name} holds bytes that are not UTF-8. Save it as strings."
        ) from error


def _read_parquet(source: RawFile, columns: Sequence[str], advance: Advance, texts: Collection[str]) -> Iterator[Chunk]:
    import pyarrow as pa  # not needed by the arguments
    import pyarrow.parquet

    try:
        if source.member is None:
            file = pa.parquet.ParquetFile(source.path)
        else:
            with Reading(source) as reading:
                file = pa.parquet.ParquetFile(io.BytesIO(b"".join(iter(lambda: reading.read(BLOCK), b""))))
        names = file.schema_arrow.names
        missing = [name for name in columns if name not in names]
        if missing:
            raise LongInterestError(f"{source} has no column {', '.join(missing)}; its columns are: {listed(names)}.")
        single = [name for name in columns if name not in texts]
        nested = [name for name in single if pa.types.is_nested(file.schema_arrow.field(name).type)]
        if nested:
            raise LongInterestError(
                f"{source}: the column {', '.join(nested)} holds lists or records, such as impressions or a history. "
                "Convert it first to one row per event: its user, item and time."
            )
        total, start = max(file.metadata.num_rows, 1), 1
        for batch in file.iter_batches(batch_size=PARQUET_ROWS, columns=list(columns)):
            values = {name: _as_text(batch.column(name), source, name) for name in columns}
            yield Chunk(str(source), values, batch.num_rows, line_of=start.__add__)
            start += batch.num_rows
            advance(source.size() * batch.num_rows // total)
    except (pa.ArrowException, OSError) as error:
        raise LongInterestError(
            f"{source} is not a Parquet file that can be read: {error}. Download or export it again."
        ) from error
