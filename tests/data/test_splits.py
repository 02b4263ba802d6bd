"""Splits as index arrays equal RecBole's loops."""

import numpy as np
import pytest
from recbole.data.dataset import Dataset

from recbole_longinterest.data import splits
from recbole_longinterest.data.splits import by_ends, group_index, leave_out, stable_order


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


def test_stable_order_is_lexsort() -> None:
    rng = np.random.default_rng(0)
    users = rng.integers(0, 50, 2000).astype(np.int32)
    times = rng.integers(-20, 20, 2000) + rng.choice([0.0, 0.25, -0.0], 2000)
    assert (stable_order(users, times) == np.lexsort((times, users))).all()
    assert (stable_order(times) == np.argsort(times, kind="stable")).all()
    assert len(stable_order(users[:0])) == 0


def test_a_sort_in_blocks_is_the_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    users, times = rng.integers(0, 40, 1000).astype(np.int32), rng.integers(0, 9, 1000) / 4
    for keys in ((users, times), (times,), (np.zeros(1000),)):
        whole = stable_order(*keys)
        with monkeypatch.context() as patch:
            patch.setattr(splits, "BLOCK", 30)
            patch.setattr(splits, "SAMPLE", 200)
            assert np.array_equal(stable_order(*keys), whole)
        assert np.array_equal(whole, np.lexsort(keys[::-1]))
