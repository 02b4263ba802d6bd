"""Build an index for an export: choose its kind, calibrate its search effort for the target recall, and write it."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.index.faiss_index import FaissIndex
from recbole_longinterest.serving.index.files import ABOUT, FILE, FORMAT, VERSION
from recbole_longinterest.serving.scorer import Scorer, top_k

EXACT, HNSW, IVF, AUTO = "exact", "hnsw", "ivf", "auto"
KINDS = (EXACT, HNSW, IVF, AUTO)
MANY = 100_000  # number of items from which "auto" builds an index; below, scoring every item takes less than 2 ms
QUERIES, EVENTS = 200, 4
GOALS = (10, 100, 1000)
AIM = 0.995  # target recall on the calibration queries; other queries get slightly less, and should reach 0.99
NEAREST = 20
CLOSE = 16  # the effort is calibrated to within a sixteenth


def chosen_kind(kind: str, n_items: int) -> str:
    """Choose the kind of index to build.

    Args:
        kind: one of :data:`KINDS`.
        n_items: number of items of the catalogue.

    Raises:
        LongInterestError: for an unknown kind.
    """
    if kind not in KINDS:
        raise LongInterestError(f"index must be one of {', '.join(KINDS)}; got {kind!r}.")
    if kind == AUTO:
        return IVF if n_items >= MANY else EXACT
    return kind


def write_index(scorer: Scorer, folder: Path, kind: str) -> float | None:
    """Write the index of a model into a folder during an export.

    Args:
        scorer: the model.
        folder: an existing folder.
        kind: one of :data:`KINDS`; nothing is written for ``"exact"``.

    Returns:
        Recall of the ten best items on held-out queries; None for ``"exact"``.

    Raises:
        LongInterestError: for an unknown kind, or a missing package.
    """
    kind = chosen_kind(kind, scorer.n_items)
    if kind == EXACT or not scorer.n_items:
        return None
    _, vectors = scorer.network.comparable(scorer.items[:1], scorer.items)
    index = FaissIndex.build(kind, vectors.numpy())
    calibrate(index, vectors, queries_of(scorer))
    others = queries_of(scorer, seed=1)
    wanted = exact_best(vectors, others, max(index.effort))
    recall = {goal: recall_of(index, others, wanted[:, :goal], effort) for goal, effort in index.effort.items()}
    about = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "items": index.n_items,
        "dim": index.dim,
        "effort": {str(goal): effort for goal, effort in index.effort.items()},
        "recall": {str(goal): round(value, 4) for goal, value in recall.items()},
    }
    (folder / FILE).write_bytes(index.to_bytes())
    (folder / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
    return recall[min(recall)]


def calibrate(
    index: FaissIndex, vectors: Tensor, queries: Tensor, goals: Sequence[int] = GOALS
) -> dict[int, tuple[int, float]]:
    """Find the minimum effort that finds 99.5 % of the best items.

    Args:
        index: index of the vectors.
        vectors: vectors for comparison, [N, D]; row 0 is the padding.
        queries: query vectors for comparison, [Q, D].
        goals: numbers of best items to find.

    Returns:
        Effort and measured recall by goal.
    """
    goals = [goal for goal in goals if goal < len(vectors)] or [len(vectors) - 1]
    wanted = exact_best(vectors, queries, max(goals))
    out = {}
    low = 1 if index.kind == "ivf" else 16
    for goal in goals:
        found = {low: recall_of(index, queries, wanted[:, :goal], low)}
        high = low
        while found[high] < AIM and high < index.most_effort:
            low, high = high, min(index.most_effort, 2 * high)
            found[high] = recall_of(index, queries, wanted[:, :goal], high)
        while high - low > max(1, low // CLOSE):
            middle = (low + high) // 2
            found[middle] = recall_of(index, queries, wanted[:, :goal], middle)
            low, high = (middle, high) if found[middle] < AIM else (low, middle)
        out[goal] = high, found[high]
        low = high  # more items need at least the same effort
    index.effort = {goal: effort for goal, (effort, _) in out.items()}
    return out


def exact_best(vectors: Tensor, queries: Tensor, number: int) -> NDArray[np.int64]:
    """Return the internal ids of the best items for each query by exact scores, [Q, number]."""
    rows = []
    for query in queries.split(8):
        scores = query @ vectors.T
        scores[:, 0] = -torch.inf
        rows.append(top_k(scores, number)[1].numpy())
    return np.concatenate(rows)


def recall_of(index: FaissIndex, queries: Tensor, wanted: NDArray[np.int64], effort: int) -> float:
    """Compute the recall: the share of wanted items among the candidates of an index.

    Args:
        index: the index.
        queries: query vectors, [Q, D].
        wanted: internal ids, [Q, n].
        effort: search effort, see :meth:`FaissIndex.effort_for`.
    """
    number = candidates_for(wanted.shape[1])
    hits = [
        np.isin(best, index.find(query, number, effort)).mean()
        for query, best in zip(queries.numpy(), wanted, strict=True)
    ]
    return float(np.mean(hits))


def candidates_for(number: int) -> int:
    """Number of candidates to look up for a number of best items; larger, because eight bits can change the order."""
    return number + max(16, number // 4)


@torch.no_grad()
def queries_of(scorer: Scorer, number: int = QUERIES, seed: int = 0) -> Tensor:
    """Generate query vectors: interest after short histories of similar items, for comparison, [Q, D].

    Args:
        scorer: the model.
        number: number of histories.
        seed: random seed.
    """
    rng = np.random.default_rng(seed)
    firsts = rng.integers(1, scorer.n_items + 1, number)
    near = min(NEAREST, scorer.n_items)
    alike = exact_best(scorer.items, scorer.items[firsts], near)
    picked = rng.integers(0, near, (number, EVENTS))
    tokens = scorer.served.items.tokens
    histories = []
    for row, first in enumerate(firsts.tolist()):
        items = [first, *alike[row, picked[row, : rng.integers(0, EVENTS + 1)]].tolist()]
        histories.append(scorer.reader.read([tokens[item] for item in items]))
    interest = scorer.interest(histories)
    return scorer.network.comparable(interest, scorer.items[:1])[0]
