"""What may be said of differences: paired bootstrap over users, intervals, Holm's correction."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
CHUNK = 2**23  # cells of the matrix of weights held at once


def bootstrap_means(
    values: NDArray[np.floating], users: NDArray[np.integer], resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """Means of every model over users drawn with replacement, the same users for all models.

    A user's rows are drawn together.

    Args:
        values: a metric of every model on every row, [M, B].
        users: user of each row, from 0, int [B].
        resamples: how often users are drawn, R.
        seed: of the draws.

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
    """The middle part of bootstrap samples, [R]."""
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def p_value(differences: NDArray[np.floating], users: int) -> float:
    """Two-sided p of "no difference" from bootstrap samples of it.

    Args:
        differences: the samples, [R].
        users: that were drawn from. So few that chance alone makes all of their differences of one sign, a bootstrap
            never contradicts: p is at least that chance.

    Returns:
        p, at least 2 / (R + 1).
    """
    above, below = (differences >= 0).sum(), (differences <= 0).sum()
    return float(min(1.0, max(2 * (1 + min(above, below)) / (len(differences) + 1), 2.0 ** (1 - users))))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number (Holm 1979), in the order given."""
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted
