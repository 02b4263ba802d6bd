"""The seen-masked protocol on top of RecBole's evaluation: ranks without the items of the user's history."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.log_rows import LogRows

if TYPE_CHECKING:
    from recbole.trainer.trainer import Trainer

NATIVE, MASKED = "native", "seen-masked"
METRICS = ("ndcg", "recall", "mrr", "hit", "precision")
CACHED = 2**18  # number of comparisons at once on a CPU
BATCHES = ("_full_sort_batch_eval", "_neg_sample_batch_eval")  # the trainer's methods that evaluate a batch

Evaluated = tuple[Any, Tensor, Tensor, Tensor]
"""RecBole's evaluation of a batch: the interaction, the scores, and row and item of the targets."""
OnBatch = Callable[[Sequence[Any], Evaluated, bool], None]


@contextlib.contextmanager
def watching_batches(trainer: "Trainer", on_batch: OnBatch) -> Iterator[None]:
    """Call a function with every batch that a trainer evaluates inside this context.

    Args:
        trainer: RecBole's trainer.
        on_batch: called with the batch, its evaluation, and whether its candidates are sampled.
    """

    def watched(evaluate: Callable[[Sequence[Any]], Evaluated], sampled: bool) -> Callable[[Sequence[Any]], Evaluated]:
        def evaluate_watched(batch: Sequence[Any]) -> Evaluated:
            evaluated = evaluate(batch)
            on_batch(batch, evaluated, sampled)
            return evaluated

        return evaluate_watched

    for name in BATCHES:
        setattr(trainer, name, watched(getattr(trainer, name), sampled=name.startswith("_neg")))
    try:
        yield
    finally:
        for name in BATCHES:
            delattr(trainer, name)  # restores the method of the class


class TargetRows:
    """The rows of an evaluation loader in the order of its batches, one target each.

    Args:
        loader: RecBole's loader over the flat log, for full ranking or sampled candidates.

    Attributes:
        part: the part of the data set that the loader reads.
        order: indices of the rows in the order of evaluation, int64 [B].
        rows: the rows in that order.
        done: number of rows that :meth:`following` has returned.

    Raises:
        LongInterestError: if the loader's rows are not positions in the flat log.
    """

    def __init__(self, loader: AbstractDataLoader) -> None:
        self.part = loader._dataset
        if not isinstance(self.part.inter_feat, LogRows):
            raise LongInterestError(
                f"The {MASKED} protocol needs the histories of the flat log, which this model's data do not have. Use "
                "a sequential model with exact_order: True."
            )
        self.order = getattr(loader, "order", torch.arange(len(self.part)))
        self.rows = self.part.inter_feat[self.order]  # RecBole's loaders sort the part's own rows
        self.done = 0

    def following(self, number: int, positive_u: Tensor, positive_i: Tensor) -> LogRows:
        """Rows of the next batch.

        Args:
            number: number of rows.
            positive_u: row of each target, int64.
            positive_i: item of each target, int64.

        Raises:
            LongInterestError: if a row has no target or several.
        """
        rows: LogRows = self.rows[self.done : self.done + number]
        if len(positive_u) != number or not torch.equal(rows[self.part.iid_field], positive_i.cpu()):
            raise LongInterestError(
                "Every row must have one target: sampled candidates need a split with one test row per user (LS)."
            )
        self.done += number
        return rows


def seen_pairs(rows: LogRows, items: Tensor, n_items: int) -> tuple[Tensor, Tensor]:
    """List the distinct items of each row's whole history.

    Args:
        rows: B rows of the flat log.
        items: item of each event of the log, [E].
        n_items: N.

    Returns:
        Row and item of each pair, int64 [P].
    """
    number = rows.whole_length()
    row = torch.repeat_interleave(torch.arange(len(rows)), number)
    place = torch.arange(len(row)) - torch.repeat_interleave(number.cumsum(0) - number, number)
    pairs = torch.unique(row * n_items + items[place + rows.history_start()[row]].long())
    return pairs // n_items, pairs % n_items


def masked_ranks(scores: Tensor, target: Tensor, row: Tensor, item: Tensor) -> Tensor:
    """Rank each row's target without the items of its user's history; an equal score counts half.

    The target is compared with all items, and then the few items of the history are subtracted.

    Args:
        scores: scores of all items, [B, N]; -inf for items that are not candidates.
        target: item of each row, int64 [B].
        row: row of each pair of :func:`seen_pairs`, int64 [P].
        item: item of each pair, int64 [P].

    Returns:
        Ranks from 1, float64 [B]. A NaN score ranks above every target.
    """
    wanted = scores.gather(1, target.unsqueeze(1))  # [B, 1]
    rank = scores.shape[1] + 0.5 - 0.5 * _not_above(scores, wanted).double()
    other = item != target[row]
    row, item = row[other], item[other]
    value, bound = scores[row, item], wanted.squeeze(1)[row]
    weight = (~(value <= bound)).double() + 0.5 * (value == bound).double()
    return rank - torch.zeros_like(rank).index_add_(0, row, weight)


def _not_above(scores: Tensor, wanted: Tensor) -> Tensor:
    """Count the scores of each row up to the wanted one: below it twice, equal to it once, float32 [B].

    On a CPU a few rows at a time, whose comparisons stay in the processor's cache. They are written as float32, because
    torch adds booleans slowly. Counts are exact below 2^24 items.

    Args:
        scores: [B, N].
        wanted: [B, 1].
    """
    at_once = max(1, (CACHED if scores.is_cpu else scores.numel()) // scores.shape[1])
    counts, below = [], torch.empty(min(at_once, len(scores)), scores.shape[1], device=scores.device)
    for some, bound in zip(scores.split(at_once), wanted.split(at_once), strict=True):
        out = below[: len(some)]
        counts.append(torch.le(some, bound, out=out).sum(dim=1) + torch.lt(some, bound, out=out).sum(dim=1))
    return torch.cat(counts) if counts else wanted.new_empty(0)


def metric_of(name: str, rank: NDArray[np.floating], k: int) -> NDArray[np.float64]:
    """Compute a metric for rows with one target each, by RecBole's definition.

    Args:
        name: one of ``METRICS``.
        rank: rank of each target, from 1, [B].
        k: length of the list.

    Returns:
        The value for every row, [B].
    """
    found = rank <= k
    gain = {
        "ndcg": 1.0 / np.log2(rank + 1.0),
        "mrr": 1.0 / rank,
        "precision": np.full(len(rank), 1.0 / k),
    }.get(name, np.ones(len(rank)))
    return np.where(found, gain, 0.0)


class MaskedPass:
    """Seen-masked ranks of one evaluation, computed from the scores of RecBole's native evaluation.

    Args:
        loader: the evaluation's loader.
    """

    def __init__(self, loader: AbstractDataLoader) -> None:
        self._targets = TargetRows(loader)
        part = self._targets.part
        self._items, self._n_items = part.event_log[part.item_seq_field], part.item_num
        self._ranks: list[Tensor] = []

    def add(self, batch: Sequence[Any], evaluated: Evaluated, sampled: bool) -> None:
        """Rank a batch; see :func:`watching_batches`."""
        _, scores, positive_u, positive_i = evaluated
        rows = self._targets.following(len(scores), positive_u, positive_i)
        target = rows[self._targets.part.iid_field]
        pairs = seen_pairs(rows, self._items, self._n_items)
        self._ranks.append(masked_ranks(scores, *(part.to(scores.device) for part in (target, *pairs))).cpu())

    def ranks(self) -> NDArray[np.float64]:
        """Ranks of all rows so far, [B]."""
        return torch.cat(self._ranks).numpy() if self._ranks else np.empty(0)
