"""Steam's files of Python dicts."""

from collections.abc import Callable
from pathlib import Path

from tests.prepare import layouts

REVIEWS = [
    {
        "username": "Chaos Syren",
        "hours": 0.1,
        "products": 41,
        "product_id": "725280",
        "page_order": 0,
        "date": "2017-12-17",
    },
    {
        "username": "None",
        "hours": 51.1,
        "product_id": "328100",
        "date": "2017-12-18",
        "text": "it's\n'ok'",
        "early_access": False,
    },
    {
        "username": "None",
        "user_id": "76561198",
        "product_id": "725280",
        "date": "2018-01-02",
        "compensation": "Product received for free",
    },
    {"username": "None", "product_id": "725280", "date": "2018-01-01"},
    {"product_id": "725280", "date": "2018-01-01"},
]
GAMES = [
    {
        **{"publisher": "P", "genres": ["Action", "Massively Multiplayer"], "app_name": "Lost Summoner", "price": 4.99},
        **{"title": "Lost Summoner Kitty", "tags": ["Strategy", "Action"], "id": "725280", "developer": "Kotoshiro"},
    },
    {
        "app_name": "Ironbound &amp; Co",
        "price": "Free To Play",
        "id": "328100",
        "genres": ["RPG"],
        "publisher": "Secret",
    },
    {"id": "1", "title": "not reviewed", "price": "Third-party"},
]


def unicode_dicts(records: list[dict[str, object]]) -> str:
    """As Python 2 wrote them: u'...' for every string."""
    return "".join(
        "{"
        + ", ".join(f"u{name!r}: {'u' if isinstance(value, str) else ''}{value!r}" for name, value in one.items())
        + "}\n"
        for one in records
    )


def test_reviews_and_games(prepare: Callable, tmp_path: Path) -> None:
    layouts.gzipped(tmp_path / "steam" / "steam_reviews.json.gz", unicode_dicts(REVIEWS))
    layouts.gzipped(tmp_path / "steam" / "steam_games.json.gz", unicode_dicts(GAMES))
    done = prepare("steam", tmp_path / "steam")
    assert [tuple(row.values()) for row in done.rows()] == [
        ("Chaos Syren", "725280", "1513468800"),
        ("%4Eone", "328100", "1513555200"),  # a player of this name; RecBole would read it as missing
        ("%4Eone", "725280", "1514851200"),
    ]
    assert done.report()["rows"]["dropped"] == {"no user id": 1, "duplicate (last)": 1}
    items = {row["item_id"]: row for row in done.rows("item")}
    assert items["725280"]["title"] == "Lost Summoner Kitty" and items["725280"]["tags"] == "Strategy|Action"
    assert items["328100"]["title"] == "Ironbound & Co" and items["328100"]["developer"] == "Secret"
    assert (items["725280"]["price"], items["328100"]["price"]) == ("4.99", "0")
    same = prepare("steam", "--reviews", tmp_path / "steam" / "steam_reviews.json.gz", "--overwrite")
    assert same.rows() == done.rows() and not (same.folder / "raw.item").exists()


def test_the_older_lists_of_a_users_reviews(prepare: Callable, tmp_path: Path) -> None:
    record = {
        "user_id": "js41637",
        "reviews": [
            {"posted": "Posted June 24, 2014.", "item_id": "251610", "recommend": True, "review": "x"},
            {"posted": "Posted September 8.", "item_id": "227300", "recommend": True, "review": "y"},
        ],
    }
    path = layouts.gzipped(tmp_path / "australian_user_reviews.json.gz", layouts.dict_lines([record]))
    done = prepare("steam", "--reviews", path)
    assert [tuple(row.values()) for row in done.rows()] == [("js41637", "251610", "1403568000")]
    assert done.report()["rows"]["dropped"] == {"time that cannot be read": 1}


def test_what_is_missing_is_said(prepare: Callable, tmp_path: Path) -> None:
    assert "needs a folder, or --reviews" in prepare("steam", fails=True).err
    layouts.gzipped(tmp_path / "s" / "steam_games.json.gz", layouts.dict_lines(GAMES))
    assert "has no file of reviews" in prepare("steam", tmp_path / "s", fails=True).err
