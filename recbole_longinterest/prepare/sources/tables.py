"""Tables of any site: CSV, TSV, Parquet and JSON lines, with columns named by the user."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.catalogue import CATEGORY, FOUND, NO_SEPARATOR, TITLE, Catalogue
from recbole_longinterest.prepare.cleaning.escaping import safe_text
from recbole_longinterest.prepare.cleaning.missing_values import words_given
from recbole_longinterest.prepare.readers.chunks import Chunk, Tally
from recbole_longinterest.prepare.readers.files import RawFile, gather, plain_name
from recbole_longinterest.prepare.readers.table_files import JSON, PARQUET, Form, read_table
from recbole_longinterest.prepare.sources.base import Advance, RawData, RawSource, Roles

DELIMITED = (".csv", ".tsv", ".tab", ".txt", ".dat", ".inter", ".item")
IN_FOLDERS = (*PARQUET, *JSON, ".csv", ".tsv")  # a .txt file in a folder is usually a licence
TAKEN = {"item_id", "user_id", "rating", "timestamp", "behavior"}  # names of RecBole's own columns


@dataclass(frozen=True)
class ItemColumns:
    """Columns that describe the items.

    Attributes:
        text: text columns, the title first.
        category: category columns.
        separator: separator of an item's categories; None to detect it, ``catalogue.NO_SEPARATOR`` for single values.
        id: id column of the item files; None if it has the same name as in the event files.
    """

    text: Sequence[str] = ()
    category: Sequence[str] = ()
    separator: str | None = None
    id: str | None = None

    @property
    def all(self) -> list[str]:
        """All columns: the title, the categories, then the other texts."""
        texts = [name for name in self.text if name not in self.category]
        return [*texts[:1], *self.category, *texts[1:]]

    def kind(self, column: str) -> str:
        """Return the preliminary kind of a column, before its values are read."""
        if column in self.category:
            return CATEGORY
        return TITLE if column == self.all[0] else FOUND


def table(
    paths: Sequence[Path],
    roles: Roles,
    columns: ItemColumns | None = None,
    items: Sequence[Path] = (),
    form: Form | None = None,
) -> RawData:
    """Find tables whose columns the user names.

    Args:
        paths: files or folders of events, all with the same columns.
        roles: columns of user, item, time, rating, behaviour.
        columns: columns that describe the items; in the item files if given, else in the event files.
        items: files or folders of items.
        form: format of delimited files.

    Raises:
        ValueError: for a path that does not exist, a folder without a table, or column names that conflict.
    """
    form, columns = form or Form(), columns or ItemColumns()
    if len(roles.columns) < sum(column is not None for column in vars(roles).values()):
        named = " ".join(f"--{role} {column}" for role, column in vars(roles).items() if column is not None)
        raise LongInterestError(f"{named}: one column cannot have two roles. Name another.")
    if items and not columns.all:
        raise LongInterestError("--items needs --text or --category, the columns that describe an item.")
    if columns.separator is not None and not columns.all[1:] and not columns.category:
        raise LongInterestError("--category-separator needs --category, the columns that it separates.")
    if columns.id is not None and not items:
        raise LongInterestError("--items-id names a column of the item files. Give --items, too.")
    fields = {column: field_name(column) for column in columns.all}
    if len(set(fields.values())) < len(columns.all) or set(fields.values()) & TAKEN:
        named = ",".join([*columns.text, *columns.category])
        raise LongInterestError(
            f"--text and --category {named}: the columns need distinct names, other than {', '.join(sorted(TAKEN))}."
        )
    sources, passed = _tables(paths)
    item_files, passed_items = _tables(items) if items else ([], [])
    in_events = [] if items else columns.all
    item_id = columns.id or roles.item

    def chunks(source: RawFile, advance: Advance) -> Iterator[Chunk]:
        for chunk in read_table(source, [*roles.columns, *in_events], form, advance, in_events):
            described = {**chunk.columns, **{fields[name]: chunk.columns[name] for name in in_events}}
            yield replace(chunk, columns=described)

    def describe(catalogue: Catalogue, tally: Tally, advance: Advance) -> None:
        from recbole_longinterest.prepare.events import as_strings  # pyarrow, not needed by the arguments

        for source in item_files:
            for chunk in read_table(source, [item_id, *columns.all], form, advance, columns.all):
                tally.check(chunk, {})
                ids, *texts = (as_strings(chunk.columns[name]).to_pylist() for name in (item_id, *columns.all))
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
        kinds={field: columns.kind(name) for name, field in fields.items()},
        item_files=item_files,
        describe=describe,
        text_columns=tuple(fields[name] for name in in_events),
        text_fields=tuple(fields.values()),
        category_field=fields[columns.category[0]] if columns.category else None,
        notes=tuple(skipped),
        missing=form.missing,
        list_separator=columns.separator,
    )


def field_name(column: str) -> str:
    """Convert a column name to a field name: without RecBole's type and without characters not allowed in a header."""
    return "_".join(safe_text(column.partition(":")[0].replace('"', "")).split()) or "text"


def _tables(paths: Sequence[Path]) -> tuple[list[RawFile], list[RawFile]]:
    """Find the tables in the given files and folders; also return the other files of the folders."""
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


# --- the command line ------------------------------------------------------------------------------------------------


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="files or folders of events")
    for role in ("user", "item"):
        parser.add_argument(f"--{role}", required=True, metavar="COLUMN", help=f"column of the {role}s")
    parser.add_argument("--time", metavar="COLUMN", help="column of the times")
    parser.add_argument("--order", choices=["file"], help="in place of --time: events are in the order of the rows")
    parser.add_argument("--rating", metavar="COLUMN", help="column of the ratings")
    parser.add_argument("--behavior", metavar="COLUMN", help="column of what the user did: click, cart, purchase")
    parser.add_argument("--text", default="", metavar="A,B", help="columns of the items' texts, the title first")
    parser.add_argument("--category", default="", metavar="A,B", help="columns of the items' categories")
    parser.add_argument(
        "--category-separator",
        metavar="TEXT",
        help=f"separator of an item's categories; {NO_SEPARATOR} for single values (default: detected)",
    )
    parser.add_argument(
        "--items",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="item files with the columns of --text and --category",
    )
    parser.add_argument("--items-id", metavar="COLUMN", help="id column of the item files (default: that of --item)")
    parser.add_argument(
        "--missing-values",
        metavar="A,B",
        help="words for missing values (default: \\N, NULL, None, NaN, NA, N/A, nil ...); '' for empty text only",
    )
    parser.add_argument(
        "--separator", metavar="TEXT", help="separator of values (default: detected from the first line)"
    )
    parser.add_argument(
        "--no-header", action="store_true", help="the first line is data; columns are named 1, 2, 3 ..."
    )
    parser.add_argument("--no-quotes", action="store_true", help="double quotes are ordinary characters")


def _open(args: argparse.Namespace) -> RawData:
    form = Form(
        args.encoding,
        _separator(args.separator),
        not args.no_header,
        not args.no_quotes,
        words_given(args.missing_values),
    )
    if args.time is None and args.order is None:
        raise LongInterestError(
            "prepare csv needs --time COLUMN; or --order file, if the data has no times and its rows are in the order "
            "of the events."
        )
    if args.time is not None and args.order is not None:
        raise LongInterestError("--time and --order file exclude each other. Give one of them.")
    roles = Roles(args.user, args.item, args.time, args.rating, args.behavior)
    columns = ItemColumns(_names(args.text), _names(args.category), args.category_separator, args.items_id)
    return table(args.paths, roles, columns, args.items, form)


def _names(given: str) -> list[str]:
    return [name.strip() for name in given.split(",") if name.strip()]


def _separator(given: str | None) -> str | None:
    if given is None:
        return None
    separator = given.replace("\\t", "\t")
    if (len(separator) != 1 or not separator.isascii()) and separator != "::":
        raise LongInterestError(f"--separator must be one ASCII character, \\t or ::; got {given!r}.")
    return separator


SOURCE = RawSource("csv", "CSV, TSV, Parquet or JSON lines, with columns that you name", _add_arguments, _open)
