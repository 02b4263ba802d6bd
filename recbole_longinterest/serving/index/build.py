"""Build an index for an export: choose its kind, find how hard it has to look for the stated recall, and write it."""

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
MANY = 100_000  # items from which "auto" builds an index: below, a score for every item takes less than 2 ms
QUERIES, EVENTS = 200, 4
GOALS = (10, 100, 1000)
AIM = 0.995  # by the queries that the effort is found with; others find a little less, and 0.99 is wanted of them
NEAREST = 20
CLOSE = 16  # the least effort is known up to a sixteenth of it


def chosen_kind(kind: str, n_items: int) -> str:
    """The kind of index to build.

    Args:
        kind: one of :data:`KINDS`.
        n_items: of the catalogue.

    Raises:
        LongInterestError: for another kind.
    """
    if kind not in KINDS:
        raise LongInterestError(f"index must be one of {', '.join(KINDS)}; got {kind!r}.")
    if kind == AUTO:
        return IVF if n_items >= MANY else EXACT
    return kind


def write_index(scorer: Scorer, folder: Path, kind: str) -> float | None:
    """Write the index of a model into a folder that is being exported.

    Args:
        scorer: the model.
        folder: there already.
        kind: one of :data:`KINDS`; nothing is written for ``"exact"``.

    Returns:
        Share of the ten best items that the index finds for other queries; None for ``"exact"``.

    Raises:
        LongInterestError: for another kind, a missing package, and an index that does not find the best items.
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
    """Find the least effort that finds 99.5 % of the best items.

    Args:
        index: of the vectors.
        vectors: as they are compared, [N, D]; row 0 is the padding's.
        queries: likewise, [Q, D].
        goals: numbers of best items to be found.

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
        low = high  # more items ask for no less
    index.effort = {goal: effort for goal, (effort, _) in out.items()}
    return out


def exact_best(vectors: Tensor, queries: Tensor, number: int) -> NDArray[np.int64]:
    """Internal ids of the best items for each query by exact scores, [Q, number]."""
    rows = []
    for query in queries.split(8):
        scores = query @ vectors.T
        scores[:, 0] = -torch.inf
        rows.append(top_k(scores, number)[1].numpy())
    return np.concatenate(rows)


def recall_of(index: FaissIndex, queries: Tensor, wanted: NDArray[np.int64], effort: int) -> float:
    """Share of wanted items that an index has among its candidates.

    Args:
        index: any.
        queries: [Q, D].
        wanted: internal ids, [Q, n].
        effort: how hard to look.
    """
    number = candidates_for(wanted.shape[1])
    hits = [
        np.isin(best, index.find(query, number, effort)).mean()
        for query, best in zip(queries.numpy(), wanted, strict=True)
    ]
    return float(np.mean(hits))


def candidates_for(number: int) -> int:
    """Candidates that are looked up for a number of items: eight bits may mix up the order of the last ones."""
    return number + max(16, number // 4)


@torch.no_grad()
def queries_of(scorer: Scorer, number: int = QUERIES, seed: int = 0) -> Tensor:
    """Interest vectors after short histories of items that are alike, as they are compared, [Q, D].

    Args:
        scorer: the model.
        number: of histories.
        seed: of the histories.
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
