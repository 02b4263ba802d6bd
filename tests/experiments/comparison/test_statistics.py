"""Intervals and p values where the answer is known."""

import numpy as np
import pytest

from recbole_longinterest.experiments.comparison import statistics
from recbole_longinterest.experiments.comparison.statistics import (
    bootstrap_means,
    holm,
    interval,
    p_value,
    run_weights,
    user_samples,
)


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


def test_runs_and_users_both_vary() -> None:
    """Each run has a shift of its own: the variance of the mean is that of users plus that of shifts over runs."""
    rng = np.random.default_rng(4)
    users, runs = 400, 6
    spread: list[float] = []
    for seed in range(60):
        base = rng.normal(size=users)
        shifts = rng.normal(scale=0.1, size=runs)
        columns = [(np.arange(users), base + shift) for shift in shifts]
        samples = user_samples(columns, users, resamples=1500, seed=seed)
        drawn = (samples * run_weights(runs, 1500, seed + 1000)).sum(axis=1)
        spread.append(float(drawn.var()))
    assert np.mean(spread) == pytest.approx(1 / users + 0.01 / runs, rel=0.1)


def test_weights_of_runs_have_no_bias_and_sum_to_one() -> None:
    values = np.array([1.0, 4.0, 5.0])
    weights = run_weights(3, 20_000)
    assert weights.sum(axis=1) == pytest.approx(1) and np.array_equal(weights, run_weights(3, 20_000))
    assert (weights @ values).var() == pytest.approx(values.var(ddof=1) / 3, rel=0.05)
    assert (run_weights(1, 5) == 1).all()


def test_runs_may_have_other_users_and_rows() -> None:
    first = (np.array([0, 0, 1, 2]), np.array([1.0, 3.0, 5.0, 7.0]))
    second = (np.array([1, 3]), np.array([2.0, 4.0]))
    samples = user_samples([first, second], 4, resamples=4000)
    apart = [user_samples([column], 4, resamples=4000)[:, 0] for column in (first, second)]
    assert all(np.array_equal(samples[:, place], apart[place], equal_nan=True) for place in range(2))
    assert set(np.unique(samples[~np.isnan(samples[:, 1]), 1])) >= {2.0, 3.0, 4.0}
    assert np.isnan(samples[:, 1]).mean() == pytest.approx(1 / 16, abs=0.02)  # neither of its users was drawn
    assert interval(samples[:, 1]) == (2.0, 4.0) and np.isnan(interval(np.full(3, np.nan))[0])


def test_memory_is_bounded_and_parts_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    columns = [(np.arange(50), rng.normal(size=50)) for _ in range(9)]
    whole = user_samples(columns, 50, resamples=200)
    monkeypatch.setattr(statistics, "CHUNK", 100)
    assert np.allclose(user_samples(columns, 50, resamples=200), whole)


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
