"""How often training has shown each item of late: what a user without a history is recommended."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.data.behaviors import behavior_field, ids_of_targets, read_target_behaviors
from recbole_longinterest.data.log_rows import LogRows
from recbole_longinterest.data.normalizing import seen_in_training

if TYPE_CHECKING:
    from recbole.data.dataset import SequentialDataset

SHARE, FEWEST = 0.1, 10_000  # of the events, the latest: a tenth of them, but at least so many


def recent_counts(dataset: "SequentialDataset", train: "SequentialDataset", times: NDArray[np.float64]) -> list[int]:
    """Events of each item in the latest part of what training shows, of ``target_behavior`` if there is one.

    Args:
        dataset: the data set.
        train: its training part, after ``build``.
        times: of all events in the order of the log, from ``event_times`` after ``build``; not needed for benchmark
            files, all of whose events count, because their order is not known.

    Returns:
        A number an item by internal id, the padding's 0 first.
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
