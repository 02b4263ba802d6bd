"""Small samples in the exact layouts that the sites publish, written by the tests that read them."""

import gzip
import json
import random
import zipfile
from collections.abc import Iterable
from pathlib import Path

GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
MOVIES = (
    (1, "Toy Story (1995)", ["Animation", "Children's", "Comedy"], "01-Jan-1995"),
    (2, "Misérables, Les (1995)", ["Drama", "Musical"], "01-Jan-1995"),
    (3, '"Great Performances" Cats (1998)', ["Musical"], "05-Oct-1998"),
    (4, "Ready to Wear (Pret-A-Porter) (1994)", ["Comedy"], "01-Jan-1994"),
    (5, "unknown", ["unknown"], ""),
    (6, "Null (2001)", ["Sci-Fi"], "01-Jan-2001"),
    (7, "Face/Off, a film (1997)", ["Action", "Sci-Fi"], "01-Jan-1997"),
    (8, "NA", [], ""),
)
CLEAN_TITLES = {
    "1": "Toy Story",
    "2": "Misérables, Les",
    "3": '"Great Performances" Cats',
    "4": "Ready to Wear (Pret-A-Porter)",
    "5": "unknown",
    "6": "Null",
    "7": "Face/Off, a film",
    "8": "NA",
}
TAGS = ((1, 1, "Pixar", 1139045764), (2, 1, "pixar", 1139045765), (2, 1, 'say "hi", you', 1139045766), (3, 4, "NA", 5))


def events(users: int = 12, seed: int = 0, half_stars: bool = False) -> list[tuple[int, int, str, int]]:
    """User, movie, rating, second; every movie is rated."""
    draw = random.Random(seed)
    rows = []
    for user in range(1, users + 1):
        for number, movie in enumerate(draw.sample(range(1, len(MOVIES) + 1), len(MOVIES) - 2)):
            rating = draw.choice(["0.5", "3.5", "4.0"]) if half_stars else str(draw.randint(1, 5))
            rows.append((user, movie, rating, 874_724_710 + user * 1000 + number))
    return rows


def lines(rows: Iterable[Iterable[object]], separator: str) -> str:
    return "".join(separator.join(map(str, row)) + "\n" for row in rows)


def ml_100k(folder: Path) -> Path:
    """u.data with tabs, u.item with bars in Latin-1, and the files beside them that are not to be read."""
    folder.mkdir(parents=True)
    (folder / "u.data").write_text(lines(events(), "\t"))
    (folder / "u1.base").write_text(lines(events()[:5], "\t"))
    (folder / "u.genre").write_text(lines(((name, at) for at, name in enumerate(GENRES)), "|"))
    items = []
    for movie, title, genres, date in MOVIES:
        flags = [int(name in genres) for name in GENRES]
        items.append((movie, title, date, "", f"http://us.imdb.com/M/title-exact?{movie}", *flags))
    (folder / "u.item").write_text(lines(items, "|"), encoding="latin-1")
    (folder / "README").write_text("SUMMARY & USAGE LICENSE\n")
    return folder


def ml_dat(folder: Path, half_stars: bool, encoding: str, tags: bool) -> Path:
    """ratings.dat, movies.dat (and tags.dat, of 10m) with ``::``."""
    folder.mkdir(parents=True)
    (folder / "ratings.dat").write_text(lines(events(half_stars=half_stars), "::"))
    movies = [(movie, title, "|".join(genres) or "(no genres listed)") for movie, title, genres, _ in MOVIES]
    (folder / "movies.dat").write_text(lines(movies, "::"), encoding=encoding)
    if tags:
        (folder / "tags.dat").write_text(lines(TAGS, "::"))
    return folder


def ml_csv(folder: Path) -> Path:
    """ratings.csv, movies.csv and tags.csv of 20m, 25m, 32m and latest."""
    folder.mkdir(parents=True)
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + lines(events(half_stars=True), ","))
    movies = [(movie, quoted(title), "|".join(genres) or "(no genres listed)") for movie, title, genres, _ in MOVIES]
    (folder / "movies.csv").write_text("movieId,title,genres\n" + lines(movies, ","), encoding="utf-8")
    tags = [(user, movie, quoted(tag), time) for user, movie, tag, time in TAGS]
    (folder / "tags.csv").write_text("userId,movieId,tag,timestamp\n" + lines(tags, ","))
    (folder / "links.csv").write_text("movieId,imdbId,tmdbId\n1,0114709,862\n")
    return folder


def quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if '"' in value or "," in value else value


def zipped(folder: Path) -> Path:
    """The zip of a folder, as the site has it: with the folder inside."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{folder.name}/{file.name}")
    return path


def gzipped(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode("utf-8", "surrogatepass")))
    return path


def json_lines(records: Iterable[object]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def dict_lines(records: Iterable[object]) -> str:
    """Python dicts, which Amazon 2014 and Steam call JSON."""
    return "".join(f"{record!r}\n" for record in records)
