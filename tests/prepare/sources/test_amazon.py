"""Amazon's files of 2014, 2018 and 2023, in the layouts that are published."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.text.reader import read_item_text
from tests.prepare import layouts

USERS = ("A1YJEY40YUW4SE", "A60XNB876KYML", "A3G6XNM240RMWA")
ITEMS = ("B004756YJA", "7806397051", "B004ZT0SSG")
DAY = 86_400
REVIEWS = [
    (user, item, float(1 + (u + i) % 5), 1318896000 + DAY * (u + i))
    for u, user in enumerate(USERS)
    for i, item in enumerate(ITEMS)
]
EXPECTED = [(user, item, f"{rating:g}", str(time)) for user, item, rating, time in REVIEWS]
FRAGMENT = "var aPageStart = (new Date()).getTime();\nvar ue_t0=ue_t0||+new Date();"


def review_2014(user: str, item: str, rating: float, time: int) -> dict[str, Any]:
    return {
        **{
            "reviewerID": user,
            "asin": item,
            "reviewerName": 'O\'Neil "x"',
            "helpful": [0, 0],
            "reviewText": "It's\tgood",
        },
        **{"overall": rating, "summary": "ok", "unixReviewTime": time, "reviewTime": "10 18, 2011"},
    }


def review_2018(user: str, item: str, rating: float, time: int) -> dict[str, Any]:
    return {
        **{"overall": rating, "verified": True, "reviewTime": "10 18, 2011", "reviewerID": user, "asin": item},
        **{
            "style": {"Size:": " Large"},
            "reviewerName": "x",
            "reviewText": "y",
            "summary": "z",
            "unixReviewTime": time,
        },
    }


def review_2023(user: str, item: str, rating: float, time: int) -> dict[str, Any]:
    return {
        **{"rating": rating, "title": "t", "text": "a\nb", "images": [], "asin": "B00CHILD00", "parent_asin": item},
        **{"user_id": user, "timestamp": time * 1000 + 7, "helpful_vote": 0, "verified_purchase": True},
    }


META_2014 = [
    {
        **{"asin": ITEMS[0], "title": "Xtreme Brite &amp; Gel 1oz.", "price": 19.99, "brand": "Xtreme Brite"},
        **{
            "categories": [["Beauty", "Hair Care"], ["Beauty", "Gels"]],
            "description": "It's <b>bright</b>",
            "related": {},
        },
    },
    {"asin": ITEMS[1], "title": "WAWO 15 Color", "salesRank": {"Beauty": 52254}, "categories": [["Beauty"]]},
    {"asin": "B000000000", "title": "never reviewed", "categories": []},
]
META_2018 = [
    {
        **{"category": ["Beauty", "Hair Care", "</span></span>"], "description": ["<p>one</p>", "two &quot;2&quot;"]},
        **{"title": '"Brite" Gel', "brand": "\n    by Brite", "price": "$1,234.50", "asin": ITEMS[0], "rank": ["1"]},
    },
    {"category": [], "title": FRAGMENT, "brand": "", "price": ".a-box-inner{background-color:#fff}", "asin": ITEMS[1]},
    {"title": "Null", "price": "$5.00 - $9.99", "asin": ITEMS[2], "main_cat": "Beauty", "feature": ["f1", "f2"]},
    {"title": "again", "asin": ITEMS[2]},
]
META_2023 = [
    {
        **{
            "main_category": "All Beauty",
            "title": "Gel",
            "average_rating": 4.5,
            "features": ["f1", "f2"],
            "description": [],
        },
        **{
            "price": 5.99,
            "store": "Store",
            "categories": ["A", "B"],
            "details": {"Brand": "B"},
            "parent_asin": ITEMS[0],
        },
    },
    {
        "main_category": "All Beauty",
        "title": "Two",
        "price": "None",
        "store": "S2",
        "details": '{"Brand": "in a string"}',
        "categories": [],
        "parent_asin": ITEMS[1],
    },
    {"title": "Three", "price": "\u2014", "parent_asin": ITEMS[2], "details": {}},
]


def rows_of(done: Any) -> list[tuple[str, ...]]:
    return [tuple(row.values()) for row in done.rows()]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("year", [2014, 2018, 2023])
def test_reviews_and_metadata(prepare: Callable, tmp_path: Path, year: int, packed: bool) -> None:
    make = {2014: review_2014, 2018: review_2018, 2023: review_2023}[year]
    meta = {2014: META_2014, 2018: META_2018, 2023: META_2023}[year]
    lines = layouts.dict_lines if year == 2014 else layouts.json_lines
    files = []
    for kind, records in (("reviews", [make(*row) for row in REVIEWS]), ("meta", meta)):
        path = tmp_path / f"{kind}_Beauty.json{'.gz' if packed else ''}"
        text = layouts.json_lines(records) if kind == "reviews" else lines(records)
        files.append(layouts.gzipped(path, text) if packed else path)
        if not packed:
            path.write_text(text)
    done = prepare("amazon", "--reviews", files[0], "--meta", files[1])
    expected = [(u, i, r, f"{t}.007") for u, i, r, t in EXPECTED] if year == 2023 else EXPECTED
    assert rows_of(done) == expected
    items = {row["item_id"]: row for row in done.rows("item")}
    assert set(items) == set(ITEMS)
    texts = {field: read_item_text(done.folder / "raw.item", "item_id", [field]) for field in ("title", "brand")}
    first = items[ITEMS[0]]
    if year == 2014:
        assert first["title"] == "Xtreme Brite & Gel 1oz." and first["description"] == "It's bright"
        assert first["categories"] == "Beauty|Hair Care|Gels" and first["price"] == "19.99"
        assert items[ITEMS[2]]["title"] == ""
    elif year == 2018:
        assert texts["title"] == {ITEMS[0]: '"Brite" Gel', ITEMS[2]: "Null"} and texts["brand"] == {
            ITEMS[0]: "by Brite"
        }
        assert first["description"] == 'one two "2"' and first["categories"] == "Beauty|Hair Care"
        assert [items[item]["price"] for item in ITEMS] == ["1234.50", "", "5.00"]
        assert items[ITEMS[2]]["description"] == "f1 f2"
        changed = done.report()["item_rows"]["changed"]
        assert changed["titles that are pieces of a web page, dropped"] == 1
        assert changed["prices that are not numbers, left empty"] == 1
        assert changed["repeated descriptions of items, ignored"] == 1
    else:
        assert texts["brand"] == {ITEMS[0]: "B", ITEMS[1]: "in a string"} and first["description"] == "f1 f2"
        assert [items[item]["price"] for item in ITEMS] == ["5.99", "", ""]
        assert items[ITEMS[1]]["categories"] == "All Beauty"
        assert done.report()["item_rows"]["changed"] == {"prices that are not numbers, left empty": 1}


@pytest.mark.parametrize(
    ("name", "text", "decimals"),
    [
        ("ratings_Beauty.csv", "".join(f"{u},{i},{r},{t}\n" for u, i, r, t in REVIEWS), ""),
        ("All_Beauty.csv", "".join(f"{i},{u},{r},{t}\n" for u, i, r, t in REVIEWS), ""),
        (
            "All_Beauty.train.csv",
            "user_id,parent_asin,rating,timestamp,history\n"
            + "".join(f"{u},{i},{r},{t}123,{ITEMS[0]} {ITEMS[1]}\n" for u, i, r, t in REVIEWS),
            ".123",
        ),
    ],
)
def test_csv_of_2014_2018_and_2023(prepare: Callable, tmp_path: Path, name: str, text: str, decimals: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert rows_of(prepare("amazon", "--reviews", path)) == [(u, i, r, t + decimals) for u, i, r, t in EXPECTED]


def test_of_a_users_reviews_of_an_item_the_latest_counts_and_ties_are_the_first(
    prepare: Callable, tmp_path: Path
) -> None:
    rows = [
        ("U1", "B1", 1, 100),
        ("U1", "B1", 5, 300),
        ("U1", "B1", 2, 200),
        ("U2", "B1", 3, 100),
        ("U2", "B1", 4, 100),
    ]
    path = tmp_path / "reviews.json"
    path.write_text(layouts.json_lines(review_2018(*row) for row in rows))
    done = prepare("amazon", "--reviews", path)
    assert rows_of(done) == [("U1", "B1", "5", "300"), ("U2", "B1", "3", "100")]
    assert done.report()["rows"]["dropped"] == {"duplicate (last)": 3}
    assert "keep the latest event of each user, item and behaviour (at equal times, the first in the files)" in done.out
    kept = prepare("amazon", "--reviews", path, "--duplicates", "keep", "--overwrite")
    assert len(kept.rows()) == 5
    first = prepare("amazon", "--reviews", path, "--duplicates", "first", "--overwrite")
    assert rows_of(first) == [("U1", "B1", "1", "100"), ("U2", "B1", "3", "100")]


def test_review_time_stands_in_for_a_missing_unix_time(prepare: Callable, tmp_path: Path) -> None:
    record = {**review_2018("U1", "B1", 5.0, 0), "reviewTime": "09 3, 2009"}
    del record["unixReviewTime"]
    (tmp_path / "r.json").write_text(json.dumps(record))
    assert prepare("amazon", "--reviews", tmp_path / "r.json").rows()[0]["timestamp"] == "1251936000"


def test_python_is_never_run(prepare: Callable, tmp_path: Path) -> None:
    line = "{'reviewerID': __import__('pathlib').Path('owned').touch(), 'asin': 'B1'}\n"
    path = tmp_path / "r.json"
    path.write_text(line + layouts.dict_lines([review_2014("U1", "B1", 5.0, 100)]))
    done = prepare("amazon", "--reviews", path)
    assert done.report()["rows"]["dropped"] == {"not a record": 1} and not (tmp_path / "owned").exists()


def test_csv_of_another_form(prepare: Callable, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    assert "neither a CSV file of 2023" in prepare("amazon", "--reviews", path, fails=True).err
    path.write_text("user_id,asin,rating\n1,2,3\n")
    assert "has no column timestamp" in prepare("amazon", "--reviews", path, fails=True).err
