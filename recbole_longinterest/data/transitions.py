"""The transitions of the training part, from the flat log or from the rows of benchmark files."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from recbole_longinterest.data.behaviors import read_target_behaviors
from recbole_longinterest.data.log_rows import LogRows
from recbole_longinterest.data.normalizing import seen_in_training
from recbole_longinterest.nn.transitions import LAGS, Transitions, count_transitions

if TYPE_CHECKING:
    from recbole_longinterest.data.flat_dataset import FlatSequentialDataset


def transitions_of(train: "FlatSequentialDataset", size: int, rows: LogRows | None = None) -> Transitions:
    """Count the transitions of a training part.

    Events of the validation and test part do not count. A follower is a target of a training row, or the first event of
    a user, which is no row, where every event may be a target.

    Args:
        train: the training part.
        size: followers of each item that are kept.
        rows: that count, in place of the part's own.
    """
    rows = train.inter_feat if rows is None else rows
    if not isinstance(rows, LogRows):
        return _of_benchmark_rows(train, size)
    items = train.event_log[train.item_seq_field].numpy()
    known = np.asarray(seen_in_training(rows, len(items), with_targets=True))
    start = np.unique(rows.history_start().numpy())
    first = np.zeros(len(items), np.int64)
    first[start] = start
    first = np.maximum.accumulate(first)  # users without a training row have no known event
    wanted = np.zeros(len(items), bool)
    wanted[rows.position.long().numpy()] = True
    if not read_target_behaviors(train.config):
        wanted[start] = True
    return count_transitions(items, first, known, wanted, train.item_num, size)


def _of_benchmark_rows(train: "FlatSequentialDataset", size: int) -> Transitions:
    """Of rows with a history each: only the row's own target follows, because histories repeat from row to row."""
    rows = train.inter_feat
    history, length = rows[train.item_seq_field], rows[train.item_list_length_field]
    place = length.unsqueeze(1) - LAGS + torch.arange(LAGS)
    before = history.gather(1, place.clamp(min=0)) * (place >= 0)
    events = torch.cat([before, rows[train.iid_field].unsqueeze(1)], dim=1).numpy()  # [n, LAGS + 1], padded in front
    first = np.repeat(np.arange(len(events)) * (LAGS + 1), LAGS + 1)
    wanted = np.zeros(events.shape, bool)
    wanted[:, -1] = True
    return count_transitions(events.ravel(), first, events.ravel() > 0, wanted.ravel(), train.item_num, size)
