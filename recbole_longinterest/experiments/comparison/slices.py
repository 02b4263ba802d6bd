"""Slices of the test rows by properties of the data: history, popularity, repeats, cold items, drift."""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.sparse.linalg
import torch
from numpy.typing import NDArray
from recbole.data.dataset import Dataset

from recbole_longinterest.data.normalizing import seen_in_training

LENGTHS = ((1, 5), (6, 10), (11, 20), (21, 50), (51, 100), (101, 200), (201, None))
HEAD = 0.2  # share of the items with training events, the most frequent ones, that form the head
FACTORS = 32  # dimensions of the item vectors for the drift


def describe_rows(train: Dataset, test: Dataset) -> pd.DataFrame:
    """Describe every test row.

    Args:
        train: training part.
        test: test part, whose rows are described.

    Returns:
        A line per row: user, history (events before the target), item, time, train_events (of the target), repeat (the
        target is in the history), cold (no training events), popularity (head, tail or cold), drift (1 - cosine of
        the last third of the history and the rest; NaN for short histories).
    """
    rows = test.inter_feat
    counts = train.training_events().numpy()
    item = rows[test.iid_field].numpy()
    log = test.event_log[test.item_seq_field].numpy()
    begin, end = rows.history_start().numpy(), rows.position.long().numpy()
    repeat = [bool((log[b:e] == i).any()) for b, e, i in zip(begin, end, item, strict=True)]
    known = np.sort(counts[counts > 0])[::-1]
    least = known[max(0, int(np.ceil(len(known) * HEAD)) - 1)]
    count = counts[item]
    return pd.DataFrame(
        {
            "user": test.id2token(test.uid_field, rows[test.uid_field].numpy()),
            "history": end - begin,
            "item": test.id2token(test.iid_field, item),
            "time": rows[test.time_field].numpy(),
            "train_events": count,
            "repeat": repeat,
            "cold": count == 0,
            "popularity": np.where(count == 0, "cold", np.where(count >= least, "head", "tail")),
            "drift": _drift(train, log, begin, end),
        }
    )


def _drift(train: Dataset, log: NDArray[Any], begin: NDArray[Any], end: NDArray[Any]) -> NDArray[np.float64]:
    """Drift: 1 - cosine of the mean item vectors of a history's last third and the rest; NaN for short histories.

    Item vectors are right singular vectors of the training data's user-item matrix, which favours no model.
    """
    rows = train.inter_feat
    shown = seen_in_training(rows, len(log), with_targets=True)
    items = train.event_log[train.item_seq_field][shown].long().numpy()
    owner = torch.zeros(len(shown) + 1, dtype=torch.int64)
    starts = torch.unique(rows.history_start())
    owner[starts] = 1
    users = owner.cumsum(0)[:-1][shown].numpy() - 1
    matrix = scipy.sparse.csr_matrix(
        (np.ones(len(items)), (users, items)), shape=(int(users.max()) + 1, train.item_num)
    ).minimum(1)
    factors = min(FACTORS, min(matrix.shape) - 1)
    if factors < 1:
        return np.full(len(begin), np.nan)
    start = np.random.default_rng(0).standard_normal(min(matrix.shape))  # ARPACK's default is random
    _, strength, vectors = scipy.sparse.linalg.svds(matrix, k=factors, v0=start)
    vectors = (vectors * strength[:, None]).T  # [N, F]
    drift = np.full(len(begin), np.nan)
    for row, (first, last) in enumerate(zip(begin, end, strict=True)):
        recent = last - max(1, (last - first) // 3)
        if recent - first < 1:
            continue
        old, new = vectors[log[first:recent]].mean(axis=0), vectors[log[recent:last]].mean(axis=0)
        size = np.linalg.norm(old) * np.linalg.norm(new)
        drift[row] = 1 - old @ new / size if size > 0 else np.nan
    return drift


def slices_of(rows: pd.DataFrame) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Assign rows to slices.

    Args:
        rows: from :func:`describe_rows`.

    Returns:
        Kind of slice -> name of the slice -> bool [B], without empty slices.
    """
    history = rows["history"].to_numpy()
    kinds = {
        "history": {
            f"{low} to {high} events" if high else f"{low} events and more": (history >= low)
            & (history <= (high or np.inf))
            for low, high in LENGTHS
        },
        "target": {name: (rows["popularity"] == name).to_numpy() for name in ("head", "tail", "cold")},
        "repeat": {
            "in the history": rows["repeat"].to_numpy(dtype=bool),
            "new to the user": ~rows["repeat"].to_numpy(dtype=bool),
        },
        "drift": _thirds(rows["drift"].to_numpy(dtype=float)),
    }
    return {kind: {name: mask for name, mask in parts.items() if mask.any()} for kind, parts in kinds.items()}


def _thirds(values: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    known = values[~np.isnan(values)]
    if len(np.unique(known)) < 3:
        return {}
    low, high = np.quantile(known, [1 / 3, 2 / 3])
    return {
        "little": values <= low,
        "some": (values > low) & (values <= high),
        "much": values > high,
    }
