"""Positive pairs are those that meet more often than by chance."""

import numpy as np
import pytest
import scipy.sparse as sp

from recbole_longinterest.text.adapting.positives import MOST, find_positives, same_texts, shared_values


def table(pairs: dict[tuple[int, int], float], number: int) -> sp.csr_array:
    row, column = zip(*pairs, strict=True)
    return sp.csr_array((list(pairs.values()), (row, column)), shape=(number, number))


def test_a_popular_item_goes_with_nothing() -> None:
    # 1 and 2 meet as often as each meets 5, which meets all: only the former is more than chance
    counts = {(1, 2): 4.0, (3, 4): 4.0, **{(i, 5): 4.0 for i in range(1, 5)}}
    found = find_positives(table(counts, 6), popularity=0.0)
    pairs = {(i, j) for i, j in zip(*found.weights.nonzero(), strict=True)}
    assert pairs == {(1, 2), (2, 1), (3, 4), (4, 3), (5, 1), (5, 2), (5, 3), (5, 4), (1, 5), (2, 5), (3, 5), (4, 5)} - {
        (i, j) for i in range(6) for j in range(6) if 5 in (i, j) and 4.0 * 48 / (8 * 16) <= 1
    }
    np.testing.assert_allclose(found.weights.sum(axis=1)[found.anchors], 1, rtol=1e-6)
    plain, corrected = (find_positives(table(counts, 6), popularity=a).weights[[1]].toarray()[0] for a in (0.0, 1.0))
    assert plain[2] == pytest.approx(plain[5]) and corrected[2] > 1.5 * corrected[5]


def test_structure_gets_its_share_and_all_of_an_item_without_events() -> None:
    shared = shared_values([[], ["a"], ["a"], ["b"], ["b", "a"], []])
    assert shared[1, 2] == pytest.approx(1 / 3) and shared[3, 4] == pytest.approx(1 / 2) and shared[3, 3] == 0
    found = find_positives(table({(1, 2): 3.0, (1, 5): 3.0}, 6), shared, share=0.2)
    weights = found.weights.toarray()
    assert weights[1, 5] == pytest.approx(0.4, abs=0.01) and weights[1, 4] == pytest.approx(0.1)
    assert weights[3, 4] == pytest.approx(1) and weights[5, 1] == pytest.approx(1)
    many = shared_values([["all"]] * (10 * MOST + 1))
    assert many.nnz == 0


def test_drawn_positives_follow_the_weights() -> None:
    found = find_positives(table({(1, 2): 9.0, (1, 3): 3.0, (4, 5): 1.0}, 6), popularity=0.0)
    drawn = found.draw(np.repeat([1, 4], 4000), np.random.default_rng(0))
    assert set(drawn[4000:]) == {5}
    assert np.mean(drawn[:4000] == 2) == pytest.approx(0.75, abs=0.03)


def test_equal_texts() -> None:
    assert same_texts(["", "x", "y", "x", ""]).toarray().nonzero()[0].tolist() == [1, 3]
