"""Standard errors of properties of lists where they are known."""

import numpy as np
import pytest

from recbole_longinterest.experiments.comparison.jackknife import list_errors


def test_of_a_mean_it_is_the_standard_error() -> None:
    rng = np.random.default_rng(1)
    count = np.arange(1000)
    top = rng.integers(1, 1000, size=(4000, 1))
    found = list_errors(top, np.arange(4000), count, [1])["averagepopularity@1"]
    assert found == pytest.approx(top.std() / np.sqrt(4000), rel=0.3)  # forty groups know it to a tenth


def test_of_the_coverage_it_is_what_other_users_would_change() -> None:
    rng = np.random.default_rng(2)
    chance = rng.dirichlet(np.full(300, 0.3))
    count = np.ones(300, dtype=np.int64)

    def lists() -> np.ndarray:
        return rng.choice(300, size=(500, 2), p=chance)

    spread = np.std([len(np.unique(lists())) / 300 for _ in range(200)])
    found = np.mean([list_errors(lists(), np.arange(500), count, [2])["itemcoverage@2"] for _ in range(10)])
    assert found == pytest.approx(spread, rel=0.5)


def test_rows_of_a_user_are_left_out_together_and_one_user_has_no_error() -> None:
    top = np.repeat(np.arange(1, 31), 20)[:, None]
    count = np.arange(31)
    together = list_errors(top, np.repeat(np.arange(30), 20), count, [1])["averagepopularity@1"]
    apart = list_errors(top, np.arange(600), count, [1])["averagepopularity@1"]
    assert together > 2 * apart
    assert list_errors(top, np.zeros(600, dtype=int), count, [1]) == {}
