"""MovieLens in every published layout: ids, times and ratings as they stand, titles, years, genres, tags."""

from collections.abc import Callable
from pathlib import Path

import pytest

from recbole_longinterest.prepare.sources.movielens import MAX_TAGS, YEAR
from recbole_longinterest.text.reader import read_item_text
from tests.prepare import layouts

Prepare = Callable[..., object]


def write(kind: str, folder: Path) -> Path:
    return {
        "ml-100k": lambda: layouts.ml_100k(folder),
        "ml-1m": lambda: layouts.ml_dat(folder, half_stars=False, encoding="latin-1", tags=False),
        "ml-10M100K": lambda: layouts.ml_dat(folder, half_stars=True, encoding="utf-8", tags=True),
        "ml-25m": lambda: layouts.ml_csv(folder),
    }[kind]()


@pytest.mark.parametrize("as_zip", [False, True])
@pytest.mark.parametrize("kind", ["ml-100k", "ml-1m", "ml-10M100K", "ml-25m"])
def test_every_layout_gives_the_same_data_set(prepare: Callable, tmp_path: Path, kind: str, as_zip: bool) -> None:
    folder = write(kind, tmp_path / kind)
    done = prepare("movielens", layouts.zipped(folder) if as_zip else folder)
    half_stars = kind in ("ml-10M100K", "ml-25m")
    expected = [
        (str(user), str(movie), f"{float(rating):g}", str(time))
        for user, movie, rating, time in layouts.events(half_stars=half_stars)
    ]
    assert [tuple(row.values()) for row in done.rows()] == expected
    titles = read_item_text(done.folder / "raw.item", "item_id", ["title"])
    assert titles == layouts.CLEAN_TITLES
    genres = read_item_text(done.folder / "raw.item", "item_id", ["genres"])
    assert genres["1"] == "Animation Children's Comedy" and "8" not in genres
    years = {row["item_id"]: row["year"] for row in done.rows("item")}
    assert years == {"1": "1995", "2": "1995", "3": "1998", "4": "1994", "5": "", "6": "2001", "7": "1997", "8": ""}
    if half_stars:
        tags = read_item_text(done.folder / "raw.item", "item_id", ["tags"])
        assert tags == {"1": 'pixar say "hi", you', "4": "na"}
        assert done.report()["text_coverage"]["tags"] == 2 / 8


def test_the_name_comes_from_the_files_and_names_of_recbole_are_refused(prepare: Callable, tmp_path: Path) -> None:
    folder = layouts.ml_csv(tmp_path / "ml-latest-small")
    prepare("movielens", layouts.zipped(folder), name=None)
    assert (tmp_path / "out" / "ml-latest-small" / "ml-latest-small.inter").is_file()
    prepare("movielens", folder / "ratings.csv", "--overwrite", name=None)
    for reserved in ("ml-100k", "ml-1m"):
        other = write(reserved, tmp_path / "reserved" / reserved)
        done = prepare("movielens", other, "--dry-run", name=None, fails=True)
        assert f"{reserved} is a data set that RecBole bundles or downloads" in done.err
        assert prepare("movielens", other, name=reserved).rows()


def test_a_name_that_recbole_bundles_says_that_its_data_is_read(prepare: Callable, tmp_path: Path) -> None:
    done = prepare("movielens", layouts.ml_100k(tmp_path / "ml-100k"), name="ml-100k")
    assert "under the name ml-100k RecBole always reads the data that it bundles" in done.out


def test_most_frequent_tags(prepare: Callable, tmp_path: Path) -> None:
    folder = layouts.ml_csv(tmp_path / "ml")
    rows = [f"{user},1,tag {number},5" for number in range(MAX_TAGS + 5) for user in range(number + 1)]
    (folder / "tags.csv").write_text("userId,movieId,tag,timestamp\n" + "\n".join(rows))
    item = next(row for row in prepare("movielens", folder).rows("item") if row["item_id"] == "1")
    assert item["tags"] == " ".join(f"tag {number}" for number in range(MAX_TAGS + 4, 4, -1))


@pytest.mark.parametrize(
    ("title", "year"),
    [
        ("A (1995)", "1995"),
        ("A (2006-2007)", "2006"),
        ("A (2006\u2013)", "2006"),
        ("A (1995) ", "1995"),
        ("A (1995) (V)", "1995"),
        ("2001", None),
    ],
)
def test_years(title: str, year: str | None) -> None:
    found = YEAR.search(title)
    assert (found and found.group(1)) == year


def test_a_title_with_a_comma_in_the_first_line(prepare: Callable, tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::1::5::100\n1::2::4::200\n2::1::3::300\n2::2::3::400\n")
    (tmp_path / "movies.dat").write_text(
        "1::City of Lost Children, The (1995)::Action|Comedy|Drama\n2::Heat (1995)::Crime\n"
    )
    items = prepare("movielens", tmp_path).rows("item")
    assert [item["title"] for item in items] == ["City of Lost Children, The", "Heat"]


def test_files_that_are_not_movielens(prepare: Callable, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "log.csv").write_text("a,b\n1,2\n")
    assert "has no file of MovieLens ratings" in prepare("movielens", folder, fails=True).err
    (folder / "ratings.csv").write_text("user,film,stars\n1,2,3\n")
    assert "has no column movieid; its columns are: user, film, stars" in prepare("movielens", folder, fails=True).err
    layouts.ml_100k(folder / "second")
    assert "has several files of ratings" in prepare("movielens", folder, fails=True).err
    assert "There is no file or folder" in prepare("movielens", tmp_path / "nothing", fails=True).err
