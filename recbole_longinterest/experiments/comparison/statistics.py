"""Statistics of differences: a bootstrap over users and seeds, intervals, Holm's correction.

A figure varies with the users and with the training run. The bootstrap resamples both. Users are drawn with
replacement, the same users for all models and runs; for each draw of users, the runs of a model are drawn with
replacement too. So the variance includes both factors (the pigeonhole bootstrap for crossed factors: Owen 2007, "The
pigeonhole bootstrap", Annals of Applied Statistics 1(2)). Because there are few runs, S - 1 of S runs are drawn, which
makes the variance over runs unbiased (McCarthy and Snowden 1985). With a single run, intervals are over users only.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
CHUNK = 2**23  # numbers in memory at once, for a part of the weights or of the sums

Column = tuple[NDArray[np.integer], NDArray[np.floating]]
"""Users, from 0, and values of some rows: int [B] and float [B]. Columns may have different rows and users."""


def user_samples(
    columns: Sequence[Column], number: int, resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """Bootstrap over users: the mean of every column over users drawn with replacement, the same users for all.

    A user's rows are drawn together. Rows are matched by user, so columns may have different rows.

    Args:
        columns: users and values of each column.
        number: U, number of users.
        resamples: number of bootstrap samples, R.
        seed: seed of the draws.

    Returns:
        [R, C]; NaN if no user of a column was drawn.
    """
    means = np.empty((resamples, len(columns)))
    together = max(1, 2 * CHUNK // max(1, number))
    for begin in range(0, len(columns), together):
        part = columns[begin : begin + together]
        means[:, begin : begin + len(part)] = _user_samples(part, number, resamples, seed)
    return means


def _user_samples(columns: Sequence[Column], number: int, resamples: int, seed: int) -> NDArray[np.float64]:
    sums = np.stack([np.bincount(users, weights=values, minlength=number) for users, values in columns], axis=1)
    kinds = {id(users): users for users, _ in columns}  # most columns share the same rows
    place = {key: index for index, key in enumerate(kinds)}
    rows = np.stack([np.bincount(users, minlength=number) for users in kinds.values()], axis=1).astype(np.float64)
    of = [place[id(users)] for users, _ in columns]
    rng, means = np.random.default_rng(seed), []
    step = max(1, CHUNK // number)
    for begin in range(0, resamples, step):
        size = min(step, resamples - begin)
        drawn = rng.integers(number, size=(size, number)) + number * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * number).reshape(size, number).astype(np.float64)
        counts = times @ rows
        means.append(times @ sums / np.where(counts > 0, counts, np.nan)[:, of])
    return np.concatenate(means)


def run_weights(runs: int, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """Weights of a model's runs in each bootstrap sample: S - 1 of S runs drawn with replacement; 1 for a single run.

    Args:
        runs: S.
        resamples: R.
        seed: seed of the draws. Models with the same runs use the same draws, so that common effects of a run, such as
            its order of ties, cancel in a difference.

    Returns:
        [R, S]; each row sums to 1.
    """
    if runs == 1:
        return np.ones((resamples, 1))
    drawn = np.random.default_rng(seed).multinomial(runs - 1, np.full(runs, 1 / runs), size=resamples)
    return drawn / (runs - 1)


def bootstrap_means(
    values: NDArray[np.floating], users: NDArray[np.integer], resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """Bootstrap over users only, for models with the same rows.

    Args:
        values: a metric of every model on every row, [M, B].
        users: user of each row, from 0, int [B].
        resamples: number of bootstrap samples, R.
        seed: seed of the draws.

    Returns:
        [R, M].
    """
    return user_samples([(users, model) for model in values], int(users.max()) + 1, resamples, seed)


def interval(samples: NDArray[np.floating], level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of the bootstrap samples that are not NaN, [R]; NaN if there are none."""
    known = samples[~np.isnan(samples)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def p_value(differences: NDArray[np.floating], users: int) -> float:
    """Two-sided p value of "no difference" from bootstrap samples of the difference.

    Args:
        differences: the samples, [R].
        users: number of users. With few users, all differences may have the same sign by chance, and then so do all
            bootstrap samples. So p is at least the probability of that.

    Returns:
        p, at least 2 / (R + 1).
    """
    above, below = (differences >= 0).sum(), (differences <= 0).sum()
    return float(min(1.0, max(2 * (1 + min(above, below)) / (len(differences) + 1), 2.0 ** (1 - users))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for multiple comparisons (Holm 1979); keeps their order."""
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted
