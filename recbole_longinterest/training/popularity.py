"""Count recent training events per item, to recommend popular items to users without a history."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.data.behaviors import behavior_field, ids_of_targets, read_target_behaviors
from recbole_longinterest.data.log_rows import LogRows
from recbole_longinterest.data.normalizing import seen_in_training

if TYPE_CHECKING:
    from recbole.data.dataset import SequentialDataset

SHARE, FEWEST = 0.1, 10_000  # the latest tenth of the training events counts, but at least 10,000 events


def recent_counts(dataset: "SequentialDataset", train: "SequentialDataset", times: NDArray[np.float64]) -> list[int]:
    """Count the events of each item among the latest training events.

    If ``target_behavior`` is set, only its events count.

    Args:
        dataset: the data set.
        train: its training part, after ``build``.
        times: times of all events in the order of the log, from ``event_times`` after ``build``. Not used for
            benchmark files: the order of their events is unknown, so all events count.

    Returns:
        Number of events by internal item id; 0 for the padding.
    """
    if not isinstance(train.inter_feat, LogRows):
        return train.training_events().tolist()
    log = train.event_log
    items = log[train.item_seq_field].numpy()
    shown = np.asarray(seen_in_training(train.inter_feat, len(items), with_targets=True))
    targets, field = read_target_behaviors(train.config), f"{behavior_field(train.config)}{train.config['LIST_SUFFIX']}"
    if targets and field in log:
        ids = ids_of_targets(targets, dataset.field2token_id[behavior_field(train.config)], dataset.dataset_name)
        shown = shown & np.isin(log[field].numpy(), ids)
    rows = np.flatnonzero(shown)
    number = max(FEWEST, round(SHARE * len(rows)))
    if number < len(rows):
        rows = rows[np.argsort(times[rows], kind="stable")[-number:]]
    return np.bincount(items[rows], minlength=train.item_num).tolist()
