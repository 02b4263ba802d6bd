"""Statistics of differences: paired bootstrap over users, intervals, Holm's correction."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
CHUNK = 2**23  # size of the part of the weight matrix in memory


def bootstrap_means(
    values: NDArray[np.floating], users: NDArray[np.integer], resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """Bootstrap over users: means of every model over users drawn with replacement, the same users for all models.

    A user's rows are drawn together.

    Args:
        values: a metric of every model on every row, [M, B].
        users: user of each row, from 0, int [B].
        resamples: number of bootstrap samples, R.
        seed: seed of the draws.

    Returns:
        [R, M].
    """
    rng = np.random.default_rng(seed)
    number = int(users.max()) + 1
    rows = np.bincount(users, minlength=number).astype(np.float64)  # [U]
    sums = np.stack([np.bincount(users, weights=model, minlength=number) for model in values], axis=1)  # [U, M]
    means = []
    step = max(1, CHUNK // number)
    for begin in range(0, resamples, step):
        size = min(step, resamples - begin)
        drawn = rng.integers(number, size=(size, number)) + number * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * number).reshape(size, number).astype(np.float64)
        means.append(times @ sums / (times @ rows)[:, None])
    return np.concatenate(means)


def interval(samples: NDArray[np.floating], level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap samples, [R]."""
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def p_value(differences: NDArray[np.floating], users: int) -> float:
    """Two-sided p value of "no difference" from bootstrap samples of the difference.

    Args:
        differences: the samples, [R].
        users: number of users. If chance alone can give all users' differences the same sign, no bootstrap sample
            contradicts it, so p is at least the probability of that.

    Returns:
        p, at least 2 / (R + 1).
    """
    above, below = (differences >= 0).sum(), (differences <= 0).sum()
    return float(min(1.0, max(2 * (1 + min(above, below)) / (len(differences) + 1), 2.0 ** (1 - users))))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number (Holm 1979), in the same order."""
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted
