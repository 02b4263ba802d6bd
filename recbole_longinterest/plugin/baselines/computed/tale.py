"""TALE: a linear item-item model for next-item prediction, with time-dependent weights."""

from collections.abc import Iterator

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from recbole.data.interaction import Interaction
from recbole.utils import InputType
from torch import Tensor

from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.plugin.baselines.computed.base import ComputedRecommender
from recbole_longinterest.plugin.baselines.computed.item_weights import (
    ItemWeights,
    check_memory,
    read_amount,
    read_kept,
    solve,
)
from recbole_longinterest.plugin.baselines.computed.training_log import DAY, TrainingLog, training_days, training_log

PAIRS = 2**22  # maximum entries of the source matrix at once


class TALE(ComputedRecommender):
    """TALE (Park et al., WSDM 2025, arXiv 2412.07382): a temporal linear item-item model.

    Every training target is a row ``r`` (single-target augmentation): ``S_r`` holds the events before it and ``T_r``
    only the target. ``B = (S^T S + reg_weight I)^-1 S^T T`` minimises ``|T - S B|^2 + reg_weight |B|^2``. The diagonal
    is unconstrained, because items may repeat. Let ``d`` be the days between a source event and the target, and ``q``
    the number of training events of the event's item in the ``trend_days`` up to and including the event:

    - time interval-aware weighting: ``S_rh = max(exp(-d / tau_train), interval_floor)``,
    - trend-aware normalization: sources and targets are divided by ``q ^ trend_power``,
    - at evaluation the ``n``-th last event has weight ``exp(-(n - 1) / tau_inf)``.

    Differences from the paper: only the last ``MAX_ITEM_LIST_LENGTH`` events are sources, which bounds the running
    time. An item that occurs twice among them gets the sum of its weights, also at evaluation. Intervals are in days,
    so the paper's values of ``tau`` do not apply. ``q`` counts no events after the event. ``trend_power: 0`` turns the
    normalization off, as in the authors' published code.

    Further keys: ``kept_weights`` and ``memory_limit_gb``, see
    :class:`~recbole_longinterest.plugin.baselines.computed.ease.SeqEASE`.

    Args:
        config: RecBole's config.
        dataset: the training part, over the flat log.

    Raises:
        LongInterestError: if a key has an invalid value, the data set has no flat log or no times, or the catalogue
            needs more memory than ``memory_limit_gb``.
    """

    input_type = InputType.POINTWISE

    def __init__(self, config: Settings, dataset: FlatSequentialDataset) -> None:
        super().__init__(config, dataset)
        reg_weight, kept = read_amount(config, "reg_weight"), read_kept(config["kept_weights"])
        tau_train, self.tau_inf = (read_amount(config, name) for name in ("tau_train", "tau_inf"))
        floor, power, trend_days = (
            read_amount(config, name, above=False) for name in ("interval_floor", "trend_power", "trend_days")
        )
        check_memory(self.n_items, read_amount(config, "memory_limit_gb"), "TALE")
        log, days = training_log(dataset, "TALE"), training_days(dataset, "TALE")
        scale = recent_events(log.item, days, trend_days) ** -power if power else np.ones(len(days))
        gram = np.zeros((self.n_items, self.n_items))
        right = np.zeros((self.n_items, self.n_items), order="F")  # LAPACK's order, which avoids a copy
        for row, source, target, number in source_pairs(log, config["MAX_ITEM_LIST_LENGTH"]):
            weight = np.maximum(np.exp((days[source] - days[target]) / tau_train), floor) * scale[source]
            sources = scipy.sparse.csr_matrix((weight, (row, log.item[source])), shape=(number, self.n_items))
            last = np.concatenate([row[1:] != row[:-1], [True]])
            aims = scipy.sparse.csr_matrix(
                (scale[target[last]], (np.arange(number), log.item[target[last]])), shape=(number, self.n_items)
            )
            for dense, counts in ((gram, sources.T @ sources), (right, sources.T @ aims)):
                entries = counts.tocoo()
                dense[entries.row, entries.col] += entries.data
        self.weights = ItemWeights(solve(gram, right, reg_weight), kept)

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of all items, float64 [B, N]."""
        item_seq, length = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        before = torch.arange(1, item_seq.shape[1] + 1, device=item_seq.device) - length.unsqueeze(1)  # 0 for the last
        return self.weights.scores(item_seq, torch.exp(before.double() / self.tau_inf))


def source_pairs(
    log: TrainingLog, window: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], int]]:
    """Pairs of a target and each of the last ``window`` events before it, in parts of bounded size.

    Args:
        log: the training events.
        window: maximum number of sources per target.

    Yields:
        Row from 0, position of the source and position of the target in the log, int64 [P] each and sorted by row, and
        the number of rows.
    """
    place = np.arange(len(log.item))
    targets = np.flatnonzero(log.target & (place > log.begin))
    number = np.minimum(targets - log.begin[targets], window)
    part = np.cumsum(number) // PAIRS
    for which in np.unique(part):
        target, size = targets[part == which], number[part == which]
        row = np.repeat(np.arange(len(target)), size)
        back = np.arange(int(size.sum())) - np.repeat(np.cumsum(size) - size, size)
        yield row, np.repeat(target - size, size) + back, target[row], len(target)


def recent_events(item: NDArray[np.int64], days: NDArray[np.float64], window: float) -> NDArray[np.float64]:
    """Count the events of each event's item in the ``window`` days up to its time, itself included, [T].

    Args:
        item: item of each event, int64 [T].
        days: times in days, [T].
        window: length in days; 0 counts only events at the same time.
    """
    seconds = np.rint((days - days.min()) * DAY).astype(np.int64)
    window_seconds = round(window * DAY)
    order = np.lexsort([seconds, item])
    key = item[order] * (int(seconds.max()) + window_seconds + 1) + seconds[order]  # no window overlaps another item
    count = np.searchsorted(key, key, side="right") - np.searchsorted(key, key - window_seconds, side="left")
    recent = np.empty(len(item))
    recent[order] = count
    return recent
