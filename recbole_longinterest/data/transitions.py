"""Count transitions in the training part, from the flat log or from the rows of benchmark files."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from recbole_longinterest.data.behaviors import read_target_behaviors
from recbole_longinterest.data.log_rows import LogRows
from recbole_longinterest.data.normalizing import seen_in_training
from recbole_longinterest.nn.transitions import LAGS, Transitions, count_transitions

if TYPE_CHECKING:
    from recbole_longinterest.data.flat_dataset import FlatSequentialDataset

MOST = 2**31 - 1  # positions that 32 bits hold


@dataclass(frozen=True)
class CountedEvents:
    """Events in the form that :func:`~recbole_longinterest.nn.transitions.count_transitions` needs.

    Attributes:
        items: item of each event, grouped by user and ordered within a user, integers [E].
        first: position of the first event of each event's user, integers [E].
        known: mask of the events of the training part, bool [E].
        wanted: mask of the events whose items may be recommended, bool [E].
    """

    items: NDArray[np.integer]
    first: NDArray[np.integer]
    known: NDArray[np.bool_]
    wanted: NDArray[np.bool_]

    def without(self, left_out: NDArray[np.bool_]) -> "CountedEvents":
        """Return the known events without those of the given items.

        Args:
            left_out: mask of the items to leave out, bool [N].
        """
        kept = self.known & ~left_out[self.items]
        _, index, owner = np.unique(self.first[kept], return_index=True, return_inverse=True)
        return CountedEvents(self.items[kept], index[owner].astype(np.int64), self.known[kept], self.wanted[kept])


def transitions_of(train: "FlatSequentialDataset", size: int, rows: LogRows | None = None) -> Transitions:
    """Count the transitions of a training part.

    Events of the validation and test part do not count. Followers are the targets of the training rows. Without
    ``target_behavior``, the first event of a user counts as well; it has no row of its own.

    Args:
        train: the training part.
        size: number of followers to keep for each item.
        rows: rows to count instead of those of ``train``.
    """
    events = counted_events(train, rows)
    return count_transitions(events.items, events.first, events.known, events.wanted, train.item_num, size)


def counted_events(train: "FlatSequentialDataset", rows: LogRows | None = None) -> CountedEvents:
    """Return the events whose transitions are counted; see :func:`transitions_of`."""
    rows = train.inter_feat if rows is None else rows
    if not isinstance(rows, LogRows):
        return _of_benchmark_rows(train)
    items = train.event_log[train.item_seq_field].numpy()
    known = np.asarray(seen_in_training(rows, len(items), with_targets=True))
    start = rows.starts(len(items)).numpy()
    first = np.zeros(len(items), np.int64 if len(items) > MOST else np.int32)
    first[start] = start
    np.maximum.accumulate(first, out=first)  # users without a training row have no known event
    wanted = np.zeros(len(items), bool)
    for piece in rows.pieces():
        wanted[piece.position.numpy()] = True
    if not read_target_behaviors(train.config):
        wanted[start] = True
    return CountedEvents(items, first, known, wanted)


def _of_benchmark_rows(train: "FlatSequentialDataset") -> CountedEvents:
    """Events of benchmark rows. Only a row's target counts as a follower, because histories repeat between rows."""
    rows = train.inter_feat
    history, length = rows[train.item_seq_field], rows[train.item_list_length_field]
    place = length.unsqueeze(1) - LAGS + torch.arange(LAGS)
    before = history.gather(1, place.clamp(min=0)) * (place >= 0)
    events = torch.cat([before, rows[train.iid_field].unsqueeze(1)], dim=1).numpy()  # [n, LAGS + 1], padded in front
    first = np.repeat(np.arange(len(events)) * (LAGS + 1), LAGS + 1)
    wanted = np.zeros(events.shape, bool)
    wanted[:, -1] = True
    return CountedEvents(events.ravel(), first, events.ravel() > 0, wanted.ravel())
