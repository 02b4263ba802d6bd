"""Standard errors of list properties that are not means over users: coverage, Gini index and others."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.experiments.comparison.protocol import beyond_accuracy

GROUPS = 40


def list_errors(
    top: NDArray[np.int64],
    users: NDArray[np.integer],
    train_count: NDArray[np.int64],
    ks: Sequence[int],
    tail: float = 0.1,
) -> dict[str, float]:
    """Compute standard errors over users of the values of ``protocol.beyond_accuracy``.

    A bootstrap does not work here: a sample drawn with replacement has fewer different users, so it always covers
    fewer items. The delete-a-group jackknife leaves out one of G random groups of users at a time (Efron and
    Tibshirani 1993, chapter 11; Burnham and Overton 1978 for the number of different items).

    Args:
        top: recommended items, best first, [B, K].
        users: user of each row, from 0, int [B].
        train_count: number of training rows with the item as target, [N], with the padding.
        ks: lengths of the list.
        tail: RecBole's ``tail_ratio``.

    Returns:
        A standard error for each property; empty for fewer than two users.
    """
    number = int(users.max()) + 1 if len(users) else 0
    groups = min(GROUPS, len(np.unique(users)))
    if groups < 2:
        return {}
    group = np.random.default_rng(0).permutation(number) % groups
    group = np.unique(group[users], return_inverse=True)[1]  # remove groups whose users have no rows
    groups = int(group.max()) + 1
    if groups < 2:
        return {}
    left_out = [beyond_accuracy(top[group != each], train_count, ks, tail) for each in range(groups)]
    return {name: float(np.sqrt((groups - 1) * np.var([values[name] for values in left_out]))) for name in left_out[0]}
