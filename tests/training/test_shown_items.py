"""Titles and categories as an export shows them: a token is one value, a list has its own separator."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.serving.model_folder import ExportError
from recbole_longinterest.training.shown_items import read_shown_items

TOKENS = ["[PAD]", "1", "2", "3", "4"]


def config(folder: Path, item: str | None, **settings: Any) -> dict[str, Any]:
    if item is not None:
        (folder / "x.item").write_text(item)
    known = {"data_path": str(folder), "dataset": "x", "field_separator": "\t", "seq_separator": " "}
    return defaultdict(lambda: None, {**known, "ITEM_ID_FIELD": "item_id", **settings})


def items(kind: str, *cells: str) -> str:
    rows = [f"{at}\tname {at}\t{cell}\n" for at, cell in enumerate(cells, start=1)]
    return f"item_id:token\tname:token_seq\tcat:{kind}\n" + "".join(rows)


@pytest.mark.parametrize(
    ("kind", "separator", "cell", "categories"),
    [
        ("token", " ", "Home & Garden", ["Home & Garden"]),
        ("token", "|", "Home & Garden", ["Home & Garden"]),
        ("token_seq", " ", "Action Comedy", ["Action", "Comedy"]),
        ("token_seq", "|", "Home & Garden|Books, Movies & TV", ["Home & Garden", "Books, Movies & TV"]),
        ("token_seq", "|", "", []),
    ],
)
def test_values_of_a_cell(tmp_path: Path, kind: str, separator: str, cell: str, categories: list[str]) -> None:
    given = config(tmp_path, items(kind, *[cell] * 4), text_fields=["name", "cat"], seq_separator=separator)
    for named in (None, "cat"):
        titles, found, shown = read_shown_items(given, TOKENS, None, named)
        assert titles == ["", "name 1", "name 2", "name 3", "name 4"] and found == [[], *[categories] * 4]
        assert shown == {"title": "name", "category": "cat"} or not categories


def test_the_column_of_categories(tmp_path: Path) -> None:
    rows = [f"{at}\tn\ta text {at}\t{'AB'[at % 2]} c\tx y\n" for at in range(1, 5)]
    text = "item_id:token\tname:token_seq\tabout:token\tbrand:token\ttags:token_seq\n" + "".join(rows)
    fields = ["name", "about", "brand"]
    for settings, expected in (
        ({"text_fields": fields}, "brand"),  # whose values repeat
        ({"text_fields": [*fields, "tags"]}, "tags"),
        ({"text_fields": [*fields, "tags"], "category_field": "brand"}, "brand"),
        ({"text_fields": fields[:2]}, None),
        ({"text_fields": fields, "category_field": "gone"}, "brand"),
    ):
        assert read_shown_items(config(tmp_path, text, **settings), TOKENS, None, None)[2]["category"] == expected


def test_an_empty_column_has_no_categories(tmp_path: Path) -> None:
    rows = [f"{at}\tn\t\t{'AB'[at % 2]}\n" for at in range(1, 5)]
    text = "item_id:token\tname:token_seq\tcolour:token\tbrand:token\n" + "".join(rows)
    given = config(tmp_path, text, text_fields=["name", "colour", "brand"])
    assert read_shown_items(given, TOKENS, None, None)[2]["category"] == "brand"


@pytest.mark.parametrize("option", ["title_field", "category_field"])
def test_errors_name_the_option(tmp_path: Path, option: str) -> None:
    given = {"title_field": None, "category_field": None, option: "cats"}
    with pytest.raises(ExportError, match=rf"^--{option} cats: there is no item file .*x\.item to read it from"):
        read_shown_items(config(tmp_path, None), TOKENS, **given)
    with pytest.raises(ExportError, match=rf"^--{option} cats: .*x\.item has no such column; it has item_id, name"):
        read_shown_items(config(tmp_path, items("token", "a")), TOKENS, **given)
