"""MovieLens: 100k (u.data), 1m and 10m (``::``), 20m to 32m and latest (CSV); a zip, a folder or a ratings file."""

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.catalogue import TEXT, TOKEN, Catalogue
from recbole_longinterest.prepare.readers.chunks import Chunk, Tally, listed
from recbole_longinterest.prepare.readers.delimited import DOUBLE_COLON, Layout, find_layout, first_line, read_delimited
from recbole_longinterest.prepare.readers.files import RawFile, gather, plain_name
from recbole_longinterest.prepare.sources.base import Advance, RawData, RawSource, Roles

MAX_TAGS = 10  # most frequent tags kept per item
YEAR = re.compile(r"\s*\((\d{4})(?:\s*[-\u2013]\s*(?:\d{4})?)?\)\s*(?:\((?:V|TV)\)\s*)?$")  # (V): video, (TV)
DATE_YEAR = re.compile(r"(\d{4})\s*$")  # 01-Jan-1995
NO_GENRE = "(no genres listed)"
# Order of the 19 genre flags in u.item, from u.genre.
GENRES_100K = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
ITEM_100K = ("id", "title", "date", "video_date", "url", *(f"genre{at}" for at in range(len(GENRES_100K))))
COLUMNS = {"user": ("userid", "user_id"), "movie": ("movieid", "movie_id"), "rating": ("rating",)}
COLUMNS |= {"timestamp": ("timestamp",), "title": ("title",), "genres": ("genres",), "tag": ("tag",)}
PLAIN = {
    "ratings": ("user", "movie", "rating", "timestamp"),
    "movies": ("movie", "title", "genres"),
    "tags": ("user", "movie", "tag", "timestamp"),
}
FILES = {
    "ratings": ("ratings.csv", "rating.csv", "ratings.dat", "u.data"),
    "movies": ("movies.csv", "movie.csv", "movies.dat", "u.item"),
    "tags": ("tags.csv", "tag.csv", "tags.dat"),
}


def movielens(path: Path, encoding: str | None = None) -> RawData:
    """Find the files of a MovieLens data set.

    Args:
        path: its zip, its folder, or its ratings file; movies and tags are in the same folder.
        encoding: encoding of the files; None for UTF-8, with Latin-1 for values that are not UTF-8.

    Raises:
        ValueError: if there is no ratings file, or more than one.
    """
    found = _find(path)
    ratings = found["ratings"]
    layouts = {role: _layout(source, role, encoding) for role, source in found.items()}
    columns = {role: _columns(found[role], layouts[role], role) for role in found}
    user, movie, rating, timestamp = columns["ratings"]
    kinds: dict[str, str] = {}
    if "movies" in found:
        kinds |= {"title": TEXT, "genres": TEXT, "year": TOKEN}
    if "tags" in found:
        kinds["tags"] = TEXT

    def chunks(source: RawFile, advance: Advance) -> Iterator[Chunk]:
        return read_delimited(source, layouts["ratings"], columns["ratings"], advance)

    def describe(catalogue: Catalogue, tally: Tally, advance: Advance) -> None:
        if "movies" in found:
            _describe_movies(found["movies"], layouts["movies"], columns["movies"], catalogue, tally, advance)
        if "tags" in found:
            _describe_tags(found["tags"], layouts["tags"], columns["tags"], catalogue, tally, advance)

    return RawData(
        label=f"MovieLens ({ratings})",
        name=plain_name(ratings.path if ratings.member else ratings.path.parent),
        roles=Roles(user, movie, timestamp, rating),
        files=[ratings],
        chunks=chunks,
        duplicates="exact",
        kinds=kinds,
        item_files=[found[role] for role in ("movies", "tags") if role in found],
        describe=describe,
        text_fields=tuple(kinds),
    )


def _find(path: Path) -> dict[str, RawFile]:
    """Find the files by role."""
    ratings_file = path.is_file() and path.suffix.lower() != ".zip"
    everything = gather([path.parent if ratings_file else path])
    found: dict[str, RawFile] = {}
    for role, names in FILES.items():
        these = [source for source in everything if source.name in names]
        if role == "ratings" and ratings_file:
            these = [source for source in everything if source.path == path]
            if these and these[0].name not in names:
                these = []
        elif role != "ratings":
            these = [source for source in these if _folder(source) == _folder(found["ratings"])]
        if len(these) > 1:
            raise LongInterestError(
                f"{path} has several files of {role}: {', '.join(map(str, these))}. Name one of them."
            )
        if these:
            found[role] = these[0]
        elif role == "ratings":
            raise LongInterestError(
                f"{path} has no file of MovieLens ratings, named {', '.join(names)}. Give the zip, its folder, "
                "or use prepare csv for a file of another name."
            )
    return found


def _folder(source: RawFile) -> str:
    return f"{source.path}!{Path(source.member).parent}" if source.member else str(source.path.parent)


def _layout(source: RawFile, role: str, encoding: str | None) -> Layout:
    if source.name == "u.item":
        return Layout("|", ITEM_100K, header=False, quoted=False, encoding=encoding)
    if source.suffix == ".csv":
        return find_layout(source, encoding)
    separator = "\t" if source.name == "u.data" else DOUBLE_COLON
    n_columns = len(PLAIN[role])
    if first_line(source, encoding).count(separator) != n_columns - 1:  # some copies have tabs or commas
        seen = find_layout(source, encoding, quoted=False, header=False)
        separator = seen.separator if len(seen.names) == n_columns else separator
    return Layout(separator, PLAIN[role], header=False, quoted=False, encoding=encoding)


def _columns(source: RawFile, layout: Layout, role: str) -> list[str]:
    """Find the columns of a role in a layout."""
    if source.name == "u.item":
        return list(ITEM_100K)
    names = {name.lower(): name for name in layout.names}
    columns = []
    for column in PLAIN[role]:
        match = next((names[name] for name in (column, *COLUMNS[column]) if name in names), None)
        if match is None:
            raise LongInterestError(
                f"{source} has no column {COLUMNS[column][0]}; its columns are: {listed(layout.names)}. "
                "Use prepare csv for a file of another form."
            )
        columns.append(match)
    return columns


def _describe_movies(
    source: RawFile, layout: Layout, columns: Sequence[str], catalogue: Catalogue, tally: Tally, advance: Advance
) -> None:
    for chunk in read_delimited(source, layout, columns, advance):
        tally.check(chunk, {})
        for values in zip(*(chunk.columns[name].to_pylist() for name in columns), strict=True):
            movie, title = values[:2]
            item = catalogue.wants(movie)
            if item is None:
                continue
            if source.name == "u.item":
                genres = " ".join(
                    name for name, flag in zip(GENRES_100K, values[5:], strict=True) if flag.strip() == "1"
                )
                dated = DATE_YEAR.search(values[2])
            else:
                genres = "" if values[2] == NO_GENRE else values[2].replace("|", " ")
                dated = None
            year = YEAR.search(title) or dated
            catalogue.describe(
                item, {"title": YEAR.sub("", title), "genres": genres, "year": year.group(1) if year else ""}
            )


def _describe_tags(
    source: RawFile, layout: Layout, columns: Sequence[str], catalogue: Catalogue, tally: Tally, advance: Advance
) -> None:
    """Add the most frequent tags of every movie, ignoring case."""
    tags: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for chunk in read_delimited(source, layout, columns[1:3], advance):
        tally.check(chunk, {})
        movies, texts = (chunk.columns[name].to_pylist() for name in columns[1:3])
        for movie, tag in zip(movies, texts, strict=True):
            if tag.strip():
                tags[movie][" ".join(tag.lower().split())] += 1
    known, catalogue.known = catalogue.known, set()
    for movie, counts in tags.items():
        item = catalogue.wants(movie)
        if item is not None:
            best = sorted(counts, key=lambda tag: (-counts[tag], tag))[:MAX_TAGS]
            catalogue.fill("tags", item, " ".join(best))
    catalogue.known |= known


# --- the command line ------------------------------------------------------------------------------------------------


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, metavar="PATH", help="the zip, its folder, or the ratings file in it")


def _open(args: argparse.Namespace) -> RawData:
    return movielens(args.path, args.encoding)


SOURCE = RawSource("movielens", "MovieLens 100k to 32m, latest and latest-small", _add_arguments, _open)
