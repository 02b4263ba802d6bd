"""Attributes of items: from the export, and from tables of three kinds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.rules.catalogue import Catalogue, Groups, read_columns
from recbole_longinterest.serving.rules.conditions import Check, Condition, check_condition
from recbole_longinterest.serving.rules.problems import Problems
from tests.served import random_served

TABLE = {
    "item_id": ["i0", "i2", "i1", "unknown"],
    "price": ["5", "", "12.5", "1"],
    "brand": ["Acme", "Bolt", "Acme", "Acme"],
    "adult": ["true", "0", "False", "1"],
}


def rows(mask: np.ndarray) -> list[int]:
    return np.flatnonzero(mask).tolist()


def write(path: Path) -> Path:
    frame = pd.DataFrame(TABLE)
    if path.suffix == ".parquet":
        numbers = pd.to_numeric(frame["price"], errors="coerce")
        frame = frame.assign(price=numbers, adult=[True, False, False, True], tags=[["x", "y"], [], ["y"], []])
        frame.to_parquet(path)
    elif path.suffix == ".item":
        named = {"item_id": "item_id:token", "price": "price:token", "brand": "brand:token", "adult": "adult:token"}
        frame.rename(columns=named).to_csv(path, sep="\t", index=False)
    else:
        frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.item"])
def test_columns_of_a_table_by_internal_id(tmp_path: Path, name: str) -> None:
    served = random_served(n_items=5)
    catalogue = Catalogue(served, read_columns(write(tmp_path / name), served))
    assert catalogue.attributes[:5] == ["item", "category", "price", "brand", "adult"]
    assert np.array_equal(catalogue.numbers("price"), [np.nan, 5, 12.5, np.nan, np.nan, np.nan], equal_nan=True)
    conditions = {
        Check("brand", ("Acme",)): [1, 2],
        Check("brand", ("Acme",), without=True): [3, 4, 5],
        Check("price", high=10): [1],
        Check("price", low=5): [1, 2],
        Check("adult", ("true",)): [1],
        Check("adult", ("false",)): [2, 3],
        Check("item", ("i3", "nobody")): [4],
        Check("category", ("Comedy",)): [1, 4],
        Check("category", ("Comedy", "War")): [1, 2, 3, 4, 5],
        Check("category", ("Opera",)): [],
    }
    for check, wanted in conditions.items():
        assert rows(Condition((check,)).mask(catalogue)) == wanted, check
    assert rows(Condition((Check("brand", ("Acme",)), Check("price", low=6))).mask(catalogue)) == [2]


def test_lists_of_a_parquet_file(tmp_path: Path) -> None:
    served = random_served(n_items=5)
    catalogue = Catalogue(served, read_columns(write(tmp_path / "t.parquet"), served))
    assert rows(Condition((Check("tags", ("y",)),)).mask(catalogue)) == [1, 2]


def test_a_column_of_another_name_holds_the_items(tmp_path: Path) -> None:
    served = random_served(n_items=5)
    pd.DataFrame({"sku": ["i4"], "price": [3]}).to_csv(tmp_path / "t.csv", index=False)
    assert read_columns(tmp_path / "t.csv", served, "sku")["price"] == [None] * 5 + ["3"]


@pytest.mark.parametrize(
    ("name", "frame", "message"),
    [
        ("t.csv", {"sku": ["i1"]}, "has no column item_id; its columns are sku"),
        ("t.parquet", {"sku": ["i1"]}, "has no column item_id; its columns are sku"),
        ("t.csv", {"item_id": ["i1", "i1"]}, "has the item i1 more than once"),
        ("t.txt", None, "An item file must end in"),
        ("t.csv", None, "The item file .* does not exist"),
        ("t.parquet", None, "The item file .* does not exist"),
    ],
)
def test_tables_that_cannot_be_used(
    tmp_path: Path, name: str, frame: dict[str, list[str]] | None, message: str
) -> None:
    if frame is not None:
        table = pd.DataFrame(frame)
        table.to_parquet(tmp_path / name) if name.endswith("parquet") else table.to_csv(tmp_path / name, index=False)
    with pytest.raises(LongInterestError, match=message):
        read_columns(tmp_path / name, random_served(n_items=5))


def test_a_broken_parquet_file(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"nonsense")
    with pytest.raises(LongInterestError, match=r"t.parquet cannot be read"):
        read_columns(tmp_path / "t.parquet", random_served(n_items=5))


def test_bounds_need_numbers() -> None:
    served = random_served(n_items=2)
    catalogue = Catalogue(served, {"price": [None, "5", "cheap"]})
    problems = Problems()
    check_condition(Condition((Check("price", high=3),)), "keep[0]", catalogue, problems)
    check_condition(Condition((Check("category", high=3),)), "keep[1]", catalogue, problems)
    check_condition(Condition((Check("colour", ("red",)),)), "keep[2]", catalogue, problems)
    assert problems.found == [
        "keep[0]: price has values that are not numbers, such as 'cheap'",
        "keep[1]: category has no numbers, so min and max cannot be used",
        "keep[2]: items have no attribute 'colour', only item, category, price; items.file adds columns of a table",
    ]


def test_groups_of_items() -> None:
    groups = Groups.of([[], ["a", "b", "a"], [], ["b"]])
    assert groups.names == ["a", "b"] and [groups.of_item(item) for item in range(4)] == [[], [0, 1], [], [1]]
    assert rows(groups.having(["b"])) == [1, 3] and rows(groups.having(["c"])) == []
    assert rows(Groups.of([[], []]).having(["a"])) == []


def test_a_model_without_categories_has_no_such_attribute() -> None:
    served = random_served(n_items=3)
    served = replace(served, items=replace(served.items, categories=[[], [], [], []]))
    assert Catalogue(served).attributes == ["item"]
