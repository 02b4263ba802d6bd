"""Splits as index arrays equal RecBole's loops."""

import numpy as np
import pytest
from recbole.data.dataset import Dataset

from recbole_longinterest.data.splits import by_ends, by_first_time, group_index, leave_out


def recboles_groups(keys: np.ndarray) -> list[list[int]]:
    return list(Dataset._grouped_index(None, keys))


@pytest.fixture(params=[0, 1, 2])
def keys(request: pytest.FixtureRequest) -> np.ndarray:
    rng = np.random.default_rng(request.param)
    return rng.integers(0, 12, [1, 40, 400][request.param])


def test_groups_come_in_the_order_of_their_first_row(keys: np.ndarray) -> None:
    rows, size = group_index(keys)
    expected = recboles_groups(keys)
    assert [part.tolist() for part in np.split(rows, np.cumsum(size)[:-1])] == expected


def test_grouped_rows_keep_their_order() -> None:
    keys = np.repeat([5, 2, 9], [4, 3, 1])
    rows, size = group_index(keys)
    assert rows.tolist() == list(range(8))
    assert size.tolist() == [4, 3, 1]


def test_groups_sorted_by_their_first_time_are_those_of_all_rows_sorted_by_time(keys: np.ndarray) -> None:
    keys = np.sort(keys)
    times = np.random.default_rng(3).integers(0, 30, len(keys)).astype(float)  # many ties, between groups too
    times = times[np.lexsort((times, keys))]
    by_time = np.argsort(times, kind="stable")
    expected = by_time[group_index(keys[by_time])[0]]
    found = by_first_time(keys, times)
    assert found.tolist() == expected.tolist()
    rows, size = group_index(keys[found])
    assert rows.tolist() == list(range(len(keys)))
    assert size.tolist() == group_index(keys[by_time])[1].tolist()


@pytest.mark.parametrize("number", [1, 2])
def test_leave_out_equals_recboles(keys: np.ndarray, number: int) -> None:
    expected = Dataset._split_index_by_leave_one_out(None, recboles_groups(keys), number)
    rows, size = group_index(keys)
    part = leave_out(size, number)
    assert [rows[part == which].tolist() for which in range(number + 1)] == expected


@pytest.mark.parametrize("ratios", [[0.8, 0.1, 0.1], [0.5, 0.5], [0.34, 0.33, 0.33]])
def test_ratios_equal_recboles(keys: np.ndarray, ratios: list[float]) -> None:
    rows, size = group_index(keys)
    part = by_ends(size, lambda total: Dataset._calcu_split_ids(None, total, ratios))
    expected: list[list[int]] = [[] for _ in ratios]
    for group in recboles_groups(keys):
        ends = Dataset._calcu_split_ids(None, len(group), ratios)
        for index, start, end in zip(expected, [0, *ends], [*ends, len(group)], strict=True):
            index.extend(group[start:end])
    assert [rows[part == which].tolist() for which in range(len(ratios))] == expected
