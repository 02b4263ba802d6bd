"""Amazon reviews of 2014 (JSON, Python dicts), 2018 (JSON lines) and 2023 (JSON lines, CSV splits), also as gz."""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.catalogue import LIST, NUMBER, TEXT, TOKEN, Catalogue
from recbole_longinterest.prepare.cleaning.shop_values import parts_of, price_of, title_of, words_of
from recbole_longinterest.prepare.readers.chunks import Chunk, Tally, listed
from recbole_longinterest.prepare.readers.delimited import Layout, find_layout, read_delimited
from recbole_longinterest.prepare.readers.files import RawFile, gather, plain_name
from recbole_longinterest.prepare.readers.records import bad_record, parse_record, read_events, read_records, text_of
from recbole_longinterest.prepare.sources.base import Advance, RawData, RawSource, Roles

ROLES = Roles("user", "item", "time", "rating")
FIELDS = {"title": TEXT, "brand": TOKEN, "categories": LIST, "description": TEXT, "price": NUMBER}
TEXT_FIELDS = ("title", "brand", "categories", "description")
# Keys of 2023, then of 2018 and 2014. The item of 2023 is the parent product, which the metadata describes.
KEYS = {
    "user": ("user_id", "reviewerID"),
    "item": ("parent_asin", "asin"),
    "time": ("timestamp", "unixReviewTime"),
    "rating": ("rating", "overall"),
}
DESCRIPTIONS = ("description", "features", "feature")  # the last one is from 2018
PLAIN_DAY = re.compile(r"(\d{1,2}) (\d{1,2}), ?(\d{4})")  # reviewTime: 09 13, 2009
ASIN = re.compile(r"B[0-9A-Z]{9}|\d{9}[\dX]")
SAMPLE = 1_000  # rows used to detect the item column


def amazon(reviews: Sequence[Path], meta: Sequence[Path] = (), encoding: str | None = None) -> RawData:
    """Find the files of an Amazon data set.

    Args:
        reviews: files or folders of reviews or ratings.
        meta: files or folders of product data.
        encoding: encoding of CSV files; None for UTF-8, with Latin-1 for values that are not UTF-8.

    Raises:
        ValueError: for a path that does not exist, or a CSV file of another format.
    """
    sources, item_files = gather(reviews), gather(meta) if meta else []
    names = {source: _csv_columns(source, encoding) for source in sources if source.suffix == ".csv"}

    def chunks(source: RawFile, advance: Advance) -> Iterator[Chunk]:
        if source not in names:
            return read_events(source, ROLES.columns, lambda record: [_review(record)], advance)
        layout, columns = names[source]
        return _renamed(read_delimited(source, layout, list(columns.values()), advance), columns)

    def describe(catalogue: Catalogue, tally: Tally, advance: Advance) -> None:
        for source in item_files:
            _describe(source, catalogue, tally, advance)

    return RawData(
        label="Amazon reviews",
        name=plain_name(reviews[0]),
        roles=ROLES,
        files=sources,
        chunks=chunks,
        duplicates="last",
        kinds=FIELDS if meta else {},
        item_files=item_files,
        describe=describe,
        text_fields=TEXT_FIELDS if meta else (),
        category_field="categories" if meta else None,
    )


def _review(record: Mapping[str, Any]) -> dict[str, str | None]:
    row = {
        name: next((text for key in keys if (text := text_of(record.get(key)))), None) for name, keys in KEYS.items()
    }
    if row["time"] is None:
        day = PLAIN_DAY.fullmatch(str(record.get("reviewTime", "")).strip())
        row["time"] = f"{day[3]}-{day[1]:0>2}-{day[2]:0>2}" if day else None
    return row


def _csv_columns(source: RawFile, encoding: str | None) -> tuple[Layout, dict[str, str]]:
    """Detect the layout of a CSV file and the column of each role."""
    layout = find_layout(source, encoding)
    columns = {role: next((key for key in keys if key in layout.names), None) for role, keys in KEYS.items()}
    if any(name is not None for name in columns.values()):
        missing = [keys[0] for role, keys in KEYS.items() if columns[role] is None]
        if missing:
            raise LongInterestError(
                f"{source} has no column {', '.join(missing)}; its columns are: {listed(layout.names)}. "
                "Use prepare csv for a file of another form."
            )
        return layout, {role: str(name) for role, name in columns.items()}
    first_values, layout = layout.names, find_layout(source, encoding, header=False)
    if len(layout.names) != len(KEYS):
        raise LongInterestError(
            f"{source} is neither a CSV file of 2023 (user_id, parent_asin, rating, timestamp) nor one of ratings "
            f"without a header (user, item, rating, time); it starts with: {listed(first_values)}. "
            "Use prepare csv for a file of another form."
        )
    first, second, rating, time = layout.names
    if _first_holds_items(source, layout):  # files of 2018; in those of 2014 the users come first
        first, second = second, first
    return layout, {"user": first, "item": second, "rating": rating, "time": time}


def _first_holds_items(source: RawFile, layout: Layout) -> bool:
    chunk = next(read_delimited(source, layout, layout.names[:2]), None)
    if chunk is None:
        return False
    columns = (chunk.columns[name][:SAMPLE].to_pylist() for name in layout.names[:2])
    first, second = (sum(ASIN.fullmatch(value) is not None for value in column) for column in columns)
    return first > second


def _renamed(chunks: Iterator[Chunk], columns: Mapping[str, str]) -> Iterator[Chunk]:
    for chunk in chunks:
        yield Chunk(**{**vars(chunk), "columns": {role: chunk.columns[name] for role, name in columns.items()}})


def _describe(source: RawFile, catalogue: Catalogue, tally: Tally, advance: Advance) -> None:
    for line, record in read_records(source, advance):
        if record is None:
            tally.check(bad_record(source, line), {})
            continue
        tally.read += 1
        item = catalogue.wants(text_of(record.get("parent_asin")) or text_of(record.get("asin")))
        if item is None:
            continue
        brands = (record.get("brand"), _details(record).get("Brand"), record.get("store"))
        categories = next(
            (value for key in ("categories", "category") if (value := record.get(key))),
            record.get("main_category") or record.get("main_cat"),
        )
        catalogue.describe(
            item,
            {
                "title": title_of([record.get("title")], catalogue.changed),
                "brand": next((words for value in brands if (words := words_of(value))), ""),
                "categories": parts_of(categories),
                "description": next((words for key in DESCRIPTIONS if (words := words_of(record.get(key)))), ""),
                "price": price_of(record.get("price"), catalogue.changed),
            },
        )


def _details(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the details table of 2023, which some copies store as a JSON string."""
    details = record.get("details")
    if isinstance(details, str):
        details = parse_record(details.encode("utf-8", "replace"))
    return details if isinstance(details, dict) else {}


# --- the command line ------------------------------------------------------------------------------------------------


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reviews", type=Path, nargs="+", required=True, metavar="FILE", help="reviews or ratings")
    parser.add_argument("--meta", type=Path, nargs="+", default=[], metavar="FILE", help="product data, for texts")


def _open(args: argparse.Namespace) -> RawData:
    return amazon(args.reviews, args.meta, args.encoding)


SOURCE = RawSource("amazon", "Amazon reviews of 2014, 2018 and 2023", _add_arguments, _open)
