"""Tables of any site: CSV, TSV, Parquet and JSON lines, with the columns that the user names."""

import argparse
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.catalogue import TEXT, Catalogue
from recbole_longinterest.prepare.cleaning.escaping import safe_text
from recbole_longinterest.prepare.readers.chunks import Chunk, Tally, listed
from recbole_longinterest.prepare.readers.delimited import find_layout, read_delimited
from recbole_longinterest.prepare.readers.files import BLOCK, RawFile, Reading, gather, plain_name
from recbole_longinterest.prepare.readers.records import read_events, text_of
from recbole_longinterest.prepare.sources.base import Advance, RawData, RawSource, Roles

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET = (".parquet", ".pq")
JSON = (".json", ".jsonl", ".ndjson")
DELIMITED = (".csv", ".tsv", ".tab", ".txt", ".dat", ".inter", ".item")
IN_FOLDERS = (*PARQUET, *JSON, ".csv", ".tsv")  # a folder's .txt is more often a licence than a table
PARQUET_ROWS = 500_000
TAKEN = {"item_id", "user_id", "rating", "timestamp", "behavior"}  # names of RecBole's own columns


@dataclass(frozen=True)
class Form:
    """How delimited files are written, as far as the user says.

    Attributes:
        encoding: None is UTF-8, and Latin-1 for values that are not.
        separator: None is found from the first line.
        header: the first line holds names; else columns are named 1, 2, 3 ...
        quoted: values may be in double quotes.
    """

    encoding: str | None = None
    separator: str | None = None
    header: bool = True
    quoted: bool = True


def table(
    paths: Sequence[Path], roles: Roles, text: Sequence[str] = (), items: Sequence[Path] = (), form: Form | None = None
) -> RawData:
    """Find the files of files whose columns the user names.

    Args:
        paths: files or folders of events, all with the same columns.
        roles: columns of user, item, time, rating, behaviour.
        text: columns of the items' texts, in the files of items if there are any, else in those of events.
        items: files or folders of items, with the item column of ``roles``.
        form: how delimited files are written.

    Raises:
        ValueError: for a path that does not exist, a folder without a table, or names that do not fit.
    """
    form = form or Form()
    if len(roles.columns) < sum(column is not None for column in vars(roles).values()):
        named = " ".join(f"--{role} {column}" for role, column in vars(roles).items() if column is not None)
        raise LongInterestError(f"{named}: one column cannot be two things. Name another.")
    if items and not text:
        raise LongInterestError("--items needs --text, the columns that describe an item.")
    fields = {column: field_name(column) for column in text}
    if len(set(fields.values())) < len(text) or set(fields.values()) & TAKEN:
        raise LongInterestError(
            f"--text {','.join(text)}: the columns need distinct names, other than {', '.join(sorted(TAKEN))}."
        )
    sources, passed = _tables(paths)
    item_files, passed_items = _tables(items) if items else ([], [])
    in_events = [] if items else list(text)

    def chunks(source: RawFile, advance: Advance) -> Iterator[Chunk]:
        for chunk in read_table(source, [*roles.columns, *in_events], form, advance):
            columns = {**chunk.columns, **{fields[name]: chunk.columns[name] for name in in_events}}
            yield replace(chunk, columns=columns)

    def describe(catalogue: Catalogue, tally: Tally, advance: Advance) -> None:
        from recbole_longinterest.prepare.events import as_strings  # pyarrow, not needed by the arguments

        for source in item_files:
            for chunk in read_table(source, [roles.item, *text], form, advance):
                tally.check(chunk, {})
                ids, *texts = (as_strings(chunk.columns[name]).to_pylist() for name in (roles.item, *text))
                for raw, *values in zip(ids, *texts, strict=True):
                    item = catalogue.wants(raw)
                    if item is not None:
                        catalogue.describe(item, dict(zip(fields.values(), (v or "" for v in values), strict=True)))

    skipped = [f"passed over: {source}" for source in (*passed, *passed_items)]
    return RawData(
        label="tables",
        name=plain_name(paths[0]),
        roles=roles,
        files=sources,
        chunks=chunks,
        duplicates="exact",
        kinds={name: TEXT for name in fields.values()},
        item_files=item_files,
        describe=describe,
        text_columns=tuple(fields[name] for name in in_events),
        text_fields=tuple(fields.values()),
        notes=tuple(skipped),
    )


def field_name(column: str) -> str:
    """A column's name as a field of an atomic file: without RecBole's type, and without what a header cannot hold."""
    return "_".join(safe_text(column.partition(":")[0].replace('"', "")).split()) or "text"


def _tables(paths: Sequence[Path]) -> tuple[list[RawFile], list[RawFile]]:
    """The tables among some files and folders, and the files of folders that are none."""
    tables: list[RawFile] = []
    others: list[RawFile] = []
    for path in paths:
        named = Path(path).is_file() and Path(path).suffix.lower() != ".zip"
        for source in gather([path]):
            known = source.suffix in (DELIMITED + PARQUET + JSON if named else IN_FOLDERS)
            (tables if named or known else others).append(source)
    if not tables:
        raise LongInterestError(
            f"There is no table in {', '.join(map(str, paths))}; tables end in {', '.join(IN_FOLDERS)}."
        )
    return tables, others


def read_table(source: RawFile, columns: Sequence[str], form: Form, advance: Advance) -> Iterator[Chunk]:
    """Columns of a table of any format.

    Args:
        source: the file.
        columns: names.
        form: how delimited files are written.
        advance: told of stored bytes that were read.

    Raises:
        ValueError: for a missing column or a file that cannot be read.
    """
    columns = list(dict.fromkeys(columns))
    if source.suffix in PARQUET:
        return _read_parquet(source, columns, advance)
    if source.suffix in JSON:
        return _read_json(source, columns, advance)
    layout = find_layout(source, form.encoding, form.quoted, form.header, form.separator)
    return read_delimited(source, layout, columns, advance)


MOST_NAMES = 100  # of the records, for the message


def _read_json(source: RawFile, columns: Sequence[str], advance: Advance) -> Iterator[Chunk]:
    """JSON lines; a column that not one record has is missing."""
    missing, seen = set(columns), set[str]()

    def row(record: dict[str, Any]) -> list[dict[str, str | None]]:
        if missing:
            missing.difference_update(record)
            if len(seen) < MOST_NAMES:
                seen.update(record)
        return [{name: _joined(record.get(name)) for name in columns}]

    n_rows = 0
    for chunk in read_events(source, columns, row, advance):
        n_rows += chunk.n_rows
        yield chunk
    if n_rows and missing:
        absent = [name for name in columns if name in missing]
        raise LongInterestError(f"{source}: no record has {', '.join(absent)}; they have: {listed(sorted(seen))}.")


def _joined(value: object) -> str | None:
    """A value, or the values of a list with spaces between them."""
    if isinstance(value, list):
        return " ".join(text for part in value if (text := _joined(part))) or None
    return text_of(value)


def _as_text(column: "pa.Array", source: RawFile, name: str) -> "pa.Array":
    """A column of bytes as strings; another unchanged."""
    import pyarrow as pa  # not needed by the arguments

    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        return column
    try:
        return column.cast(pa.large_string())
    except pa.ArrowInvalid as error:
        raise LongInterestError(
            f"{source}: the column {name} holds bytes that are no UTF-8. Save it as strings."
        ) from error


def _read_parquet(source: RawFile, columns: Sequence[str], advance: Advance) -> Iterator[Chunk]:
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
        nested = [name for name in columns if pa.types.is_nested(file.schema_arrow.field(name).type)]
        if nested:
            raise LongInterestError(
                f"{source}: the column {', '.join(nested)} holds lists or records, not single values."
            )
        total, start = max(file.metadata.num_rows, 1), 1
        for batch in file.iter_batches(batch_size=PARQUET_ROWS, columns=list(columns)):
            values = {name: _as_text(batch.column(name), source, name) for name in columns}
            yield Chunk(str(source), values, batch.num_rows, line_of=start.__add__)
            start += batch.num_rows
            advance(source.size() * batch.num_rows // total)
    except (pa.ArrowException, OSError) as error:
        raise LongInterestError(f"{source} is not a Parquet file that can be read: {error}. Get it again.") from error


# --- the command line ------------------------------------------------------------------------------------------------


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="files or folders of events")
    for role in ("user", "item", "time"):
        parser.add_argument(f"--{role}", required=True, metavar="COLUMN", help=f"column of the {role}s")
    parser.add_argument("--rating", metavar="COLUMN", help="column of the ratings")
    parser.add_argument("--behavior", metavar="COLUMN", help="column of what the user did: click, cart, purchase")
    parser.add_argument("--text", default="", metavar="A,B", help="columns of the items' texts")
    parser.add_argument(
        "--items", type=Path, nargs="+", default=[], metavar="FILE", help="files that hold these columns"
    )
    parser.add_argument("--separator", metavar="TEXT", help="between values; found from the first line unless given")
    parser.add_argument("--no-header", action="store_true", help="the first line is a row; columns are 1, 2, 3 ...")
    parser.add_argument("--no-quotes", action="store_true", help="double quotes mean nothing")


def _open(args: argparse.Namespace) -> RawData:
    form = Form(args.encoding, _separator(args.separator), not args.no_header, not args.no_quotes)
    roles = Roles(args.user, args.item, args.time, args.rating, args.behavior)
    text = [name.strip() for name in args.text.split(",") if name.strip()]
    return table(args.paths, roles, text, args.items, form)


def _separator(given: str | None) -> str | None:
    if given is None:
        return None
    separator = given.replace("\\t", "\t")
    if len(separator) != 1 and separator != "::":
        raise LongInterestError(f"--separator must be one character, \\t or ::; got {given!r}.")
    return separator


SOURCE = RawSource("csv", "CSV, TSV, Parquet or JSON lines, with columns that you name", _add_arguments, _open)
