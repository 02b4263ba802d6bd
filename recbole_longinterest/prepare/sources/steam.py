"""Steam: steam_reviews.json.gz and steam_games.json.gz (files of Python dicts), or lists of reviews per user."""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.catalogue import LIST, NUMBER, TEXT, TOKEN, Catalogue
from recbole_longinterest.prepare.cleaning.shop_values import parts_of, price_of, title_of, words_of
from recbole_longinterest.prepare.readers.chunks import Chunk, Tally
from recbole_longinterest.prepare.readers.files import RawFile, gather
from recbole_longinterest.prepare.readers.records import Row, bad_record, read_events, read_records, text_of
from recbole_longinterest.prepare.sources.base import Advance, RawData, RawSource, Roles

ROLES = Roles("user", "item", "time")
FIELDS = {"title": TEXT, "developer": TOKEN, "genres": LIST, "tags": LIST, "price": NUMBER}
TEXT_FIELDS = ("title", "developer", "genres", "tags")
FREE = frozenset(
    {"free", "free to play", "free to try", "free mod", "play for free!", "free demo", "free hitman™ holiday pack"}
)
POSTED = re.compile(r"Posted (\w+ \d{1,2}, \d{4})\.?")  # Posted November 5, 2011.
GAMES = ("games", "meta")  # words in the names of game files


def steam(reviews: Sequence[Path], games: Sequence[Path] = ()) -> RawData:
    """Find the files of a Steam data set.

    Args:
        reviews: review files; or a folder or zip that also has game files, which are recognised by name.
        games: game files.

    Raises:
        ValueError: for a path that does not exist, or if there is no review file.
    """
    everything = gather(reviews)
    item_files = gather(games) if games else [source for source in everything if _of_games(source)]
    sources = [source for source in everything if source not in item_files]
    if not games and len(everything) > 1:
        sources = [source for source in sources if "review" in source.name]
    if not sources:
        raise LongInterestError(
            f"{', '.join(map(str, reviews))} has no file of reviews. Name it: --reviews steam_reviews.json.gz"
        )

    def chunks(source: RawFile, advance: Advance) -> Iterator[Chunk]:
        return read_events(source, ROLES.columns, _reviews, advance)

    def describe(catalogue: Catalogue, tally: Tally, advance: Advance) -> None:
        for source in item_files:
            _describe(source, catalogue, tally, advance)

    return RawData(
        label="Steam reviews",
        name="steam",
        roles=ROLES,
        files=sources,
        chunks=chunks,
        duplicates="last",
        kinds=FIELDS if item_files else {},
        item_files=item_files,
        describe=describe,
        text_fields=TEXT_FIELDS if item_files else (),
        category_field="genres" if item_files else None,
    )


def _of_games(source: RawFile) -> bool:
    return any(word in source.name for word in GAMES) and "review" not in source.name


def _reviews(record: Mapping[str, Any]) -> list[Row]:
    """Return the reviews of a record: a single review, or a user's list of reviews."""
    several = record.get("reviews")
    if not isinstance(several, list):
        user = text_of(record.get("username")) or text_of(record.get("user_id"))
        return [{"user": user, "item": text_of(record.get("product_id")), "time": text_of(record.get("date"))}]
    user = text_of(record.get("user_id"))
    inside = [review for review in several if isinstance(review, dict)]
    return [{"user": user, "item": text_of(one.get("item_id")), "time": _posted(one.get("posted"))} for one in inside]


def _posted(value: object) -> str | None:
    """Convert "Posted November 5, 2011." to a date; texts without a year (the year of the crawl) stay unchanged."""
    match = POSTED.fullmatch(str(value).strip())
    try:
        return datetime.strptime(match[1], "%B %d, %Y").date().isoformat() if match else text_of(value)
    except ValueError:
        return text_of(value)


def _describe(source: RawFile, catalogue: Catalogue, tally: Tally, advance: Advance) -> None:
    for line, record in read_records(source, advance):
        if record is None:
            tally.check(bad_record(source, line), {})
            continue
        tally.read += 1
        item = catalogue.wants(text_of(record.get("id")))
        if item is not None:
            catalogue.describe(
                item,
                {
                    "title": title_of([record.get("title"), record.get("app_name")], catalogue.changed),
                    "developer": words_of(record.get("developer")) or words_of(record.get("publisher")),
                    "genres": parts_of(record.get("genres")),
                    "tags": parts_of(record.get("tags")),
                    "price": price_of(record.get("price"), catalogue.changed, FREE),
                },
            )


# --- the command line ------------------------------------------------------------------------------------------------


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, nargs="?", metavar="PATH", help="folder with the files of reviews and games")
    parser.add_argument("--reviews", type=Path, nargs="+", default=[], metavar="FILE", help="reviews")
    parser.add_argument("--games", "--meta", type=Path, nargs="+", default=[], metavar="FILE", help="games, for texts")


def _open(args: argparse.Namespace) -> RawData:
    paths = [*([args.path] if args.path else []), *args.reviews]
    if not paths:
        raise LongInterestError("prepare steam needs a folder, or --reviews FILE.")
    return steam(paths, args.games)


SOURCE = RawSource("steam", "Steam reviews and games", _add_arguments, _open)
