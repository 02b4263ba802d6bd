"""Rank targets among the scores of a batch, with the user's seen items (native) or without them (masked)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.plugin.runs.seen_masked import MASKED, METRICS, NATIVE, metric_of

PROTOCOLS = (NATIVE, MASKED)
__all__ = ["MASKED", "METRICS", "NATIVE", "PROTOCOLS", "Ranks", "beyond_accuracy", "metric_of", "rank_targets"]


@dataclass(frozen=True)
class Ranks:
    """Ranks of a batch's targets, from 1; an item of equal score counts half.

    Attributes:
        native: rank among all candidates, float64 [B].
        masked: rank among the target and the candidates that the user has not seen, float64 [B].
        among_cold: rank among the cold candidates, float64 [B]; NaN if the target is not cold.
        tied: whether another candidate has the target's score, bool [B].
        native_top: best items, int64 [B, K].
        masked_top: best items that the user has not seen, the target among them, int64 [B, K].
    """

    native: NDArray[np.float64]
    masked: NDArray[np.float64]
    among_cold: NDArray[np.float64]
    tied: NDArray[np.bool_]
    native_top: NDArray[np.int64]
    masked_top: NDArray[np.int64]


def rank_targets(
    scores: Tensor, target: Tensor, history: Tensor, cold: Tensor, most: int, candidates: Tensor | None = None
) -> Ranks:
    """Rank each row's target in both protocols.

    Args:
        scores: scores of all items, [B, N]; column 0 is the padding and is ignored.
        target: item of each row, int64 [B].
        history: items of all events of the row's user before the target, padded with 0, int64 [B, L].
        cold: items without a training event, bool [N].
        most: K, number of best items to keep.
        candidates: items to rank, bool [B, N]; None for all. The target is always included.

    Raises:
        ValueError: if a candidate's score is NaN or infinite.
    """
    own = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, target.unsqueeze(1), True)
    ranked = torch.ones_like(own) if candidates is None else candidates | own
    ranked[:, 0] = False
    if not torch.isfinite(scores[ranked]).all():
        raise LongInterestError(
            f"{int((~torch.isfinite(scores[ranked])).sum())} scores are not finite, so the model cannot be ranked."
        )
    seen = torch.zeros_like(own).scatter_(1, history, True) & ~own
    wanted = scores.gather(1, target.unsqueeze(1))  # [B, 1]
    above, equal = scores > wanted, (scores == wanted) & ~own

    def rank(among: Tensor) -> Tensor:
        return 1.0 + (above & among).sum(dim=1).double() + 0.5 * (equal & among).sum(dim=1).double()

    among_cold = torch.where(cold[target], rank(ranked & cold), torch.nan)
    unseen = ranked & ~seen
    lowest = scores.masked_fill(~ranked, -torch.inf)
    return Ranks(
        rank(ranked).cpu().numpy(),
        rank(unseen).cpu().numpy(),
        among_cold.cpu().numpy(),
        (equal & ranked).any(dim=1).cpu().numpy(),
        lowest.topk(min(most, scores.shape[1] - 1), dim=1).indices.cpu().numpy(),
        lowest.masked_fill(seen, -torch.inf).topk(min(most, scores.shape[1] - 1), dim=1).indices.cpu().numpy(),
    )


def beyond_accuracy(
    top: NDArray[np.int64], train_count: NDArray[np.int64], ks: Sequence[int], tail: float = 0.1
) -> dict[str, float]:
    """Compute properties of the lists: RecBole's coverage, Gini index, popularity and tail share.

    Args:
        top: recommended items, best first, [B, K]; external lists are filled up with 0.
        train_count: number of training rows with the item as target, [N], with the padding.
        ks: lengths of the list.
        tail: RecBole's ``tail_ratio``. Up to 1: this share of the items with training rows, the rarest ones, is the
            tail. Above 1: the items with at most that many rows.

    Returns:
        ``itemcoverage@k``, ``giniindex@k``, ``averagepopularity@k``, ``tailpercentage@k``.
    """
    n_items = len(train_count)
    known = np.flatnonzero(train_count)
    rarest = known[np.lexsort((known, train_count[known]))]
    is_tail = np.zeros(n_items, dtype=bool)
    is_tail[known[train_count[known] <= tail] if tail > 1 else rarest[: max(int(len(known) * tail), 1)]] = True
    values: dict[str, float] = {}
    for k in ks:
        items = top[:, :k][top[:, :k] > 0]
        if not len(items):  # external lists that are empty without the seen items
            names = ("itemcoverage", "giniindex", "averagepopularity", "tailpercentage")
            values |= dict.fromkeys((f"{name}@{k}" for name in names), 0.0)
            continue
        counts = np.bincount(items, minlength=n_items)
        shown = np.sort(counts[counts > 0])
        place = np.arange(n_items - len(shown) + 1, n_items + 1)
        values[f"itemcoverage@{k}"] = len(shown) / n_items
        values[f"giniindex@{k}"] = float(((2 * place - n_items - 1) * shown).sum() / items.size / n_items)
        values[f"averagepopularity@{k}"] = float(train_count[items].mean())
        values[f"tailpercentage@{k}"] = float(is_tail[items].mean())
    return values
