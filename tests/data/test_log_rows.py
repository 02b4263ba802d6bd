"""Rows over the log behave as RecBole's Interaction with the same columns."""

from typing import Any

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction, cat_interactions

from recbole_longinterest.data.log_rows import LogRows, compact


@pytest.fixture
def rows() -> LogRows:
    log = {
        "user": torch.tensor([1, 1, 1, 2, 2], dtype=torch.int16),
        "item": torch.tensor([70_000, 2, 3, 4, 5], dtype=torch.int32),
        "rating": torch.tensor([0.5, 1.0, 1.5, 2.0, 2.5]),
    }
    return LogRows(log, torch.tensor([1, 2, 4]), torch.tensor([0, 0, 3]), "user", "length")


@pytest.fixture
def plain() -> Interaction:
    return Interaction(
        {
            "user": torch.tensor([1, 1, 2]),
            "item": torch.tensor([2, 3, 5]),
            "rating": torch.tensor([1.0, 1.5, 2.5]),
            "length": torch.tensor([1, 2, 1]),
        }
    )


def assert_same(got: Any, expected: Interaction) -> None:
    assert len(got) == len(expected) and set(got.columns) == set(expected.columns)
    for field in expected.columns:
        assert torch.equal(got[field], expected[field]) and got[field].dtype == expected[field].dtype, field


@pytest.mark.parametrize(
    "index",
    [
        np.array([2, 0]),
        [1],
        [],
        slice(0, 2),
        range(1, 3),
        torch.tensor([0, 2]),
        torch.tensor([True, False, True]),
        np.array([True, False, False]),
    ],
)
def test_index(rows: LogRows, plain: Interaction, index: Any) -> None:
    expected = plain[slice(index.start, index.stop)] if isinstance(index, range) else plain[index]
    got = rows[index]
    assert isinstance(got, LogRows)
    assert_same(got, expected)


def test_whole_and_in_pieces(rows: LogRows, plain: Interaction) -> None:
    assert_same(rows, plain)
    assert_same(rows.to("cpu"), plain)
    assert_same(cat_interactions([rows[:1], rows[1:]]), plain)
    assert rows.item.tolist() == [2, 3, 5] and "item" in rows and "item_list" not in rows
    assert {name: values.tolist() for name, values in rows.numpy().items()}["length"] == [1, 2, 1]


def test_sort_and_shuffle_move_every_column(rows: LogRows, plain: Interaction) -> None:
    for each in (rows, plain):
        each["own"] = torch.tensor([30, 10, 20])
        each.sort(by=["user", "own"])
    assert_same(rows, plain)
    torch.manual_seed(0)
    rows.shuffle()
    torch.manual_seed(0)
    plain.shuffle()
    assert_same(rows, plain)


def test_columns_are_set_and_dropped_in_these_rows_alone(rows: LogRows) -> None:
    part = rows[:2]
    part.drop("rating")
    part["item"] = torch.tensor([7, 8])
    assert "rating" not in part and "rating" in rows
    assert part["item"].tolist() == [7, 8] and rows["item"].tolist() == [2, 3, 5]
    with pytest.raises(ValueError, match="is not in"):
        part.drop("rating")


def test_the_length_stops_at_the_limit_as_in_recboles_rows(rows: LogRows) -> None:
    rows.limit = 1
    assert rows["length"].tolist() == [1, 1, 1] and rows[1:]["length"].tolist() == [1, 1]
    assert rows.whole_length().tolist() == [1, 2, 1]


def test_a_cache_gives_the_rows_back(rows: LogRows, plain: Interaction) -> None:
    rows["own"] = plain["own"] = torch.tensor([1, 2, 3])
    assert_same(LogRows.from_cache(rows.to_cache()), plain)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0, 32767], torch.int16),
        ([0, 32768], torch.int32),
        ([-(2**31), 5], torch.int32),
        ([0, 2**31], torch.int64),
        ([], torch.int64),
    ],
)
def test_ids_take_the_smallest_integers(values: list[int], dtype: torch.dtype) -> None:
    got = compact(torch.tensor(values, dtype=torch.int64))
    assert got.dtype == dtype and got.tolist() == values
