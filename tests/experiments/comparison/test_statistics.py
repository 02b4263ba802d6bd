"""Intervals and p values where the answer is known."""

import numpy as np
import pytest

from recbole_longinterest.experiments.comparison.statistics import bootstrap_means, holm, interval, p_value


def test_the_bootstrap_has_the_standard_error_of_the_mean_and_pairs_the_models() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(size=2000)
    values = np.stack([base, base + 0.1])
    samples = bootstrap_means(values, np.arange(2000), resamples=4000)
    assert samples.std(axis=0) == pytest.approx(base.std() / np.sqrt(2000), rel=0.05)
    assert samples[:, 1] - samples[:, 0] == pytest.approx(0.1, abs=1e-12)  # no noise is left in the difference


def test_rows_of_a_user_are_drawn_together() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=50), 20)[None]
    together = bootstrap_means(values, np.repeat(np.arange(50), 20), resamples=3000)
    apart = bootstrap_means(values, np.arange(1000), resamples=3000)
    assert together.std() > 3 * apart.std()


def test_no_difference_is_rarely_significant_and_a_large_one_is() -> None:
    rng = np.random.default_rng(2)
    found = 0
    for seed in range(100):
        values = rng.normal(size=(2, 300))
        samples = bootstrap_means(values, np.arange(300), resamples=500, seed=seed)
        found += p_value(samples[:, 0] - samples[:, 1], 300) < 0.05
    assert found <= 12
    samples = bootstrap_means(np.stack([values[0], values[0] - 1]), np.arange(300), resamples=999)
    assert p_value(samples[:, 0] - samples[:, 1], 300) == pytest.approx(2 / 1000)
    assert p_value(np.zeros(99), 300) == 1
    assert p_value(np.ones(999), 3) == 0.25  # three users of one sign: a coin does that


def test_the_interval_is_the_middle() -> None:
    assert interval(np.arange(1001.0)) == pytest.approx((25, 975))


def test_holm_corrects_step_by_step() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
