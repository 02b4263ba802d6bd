"""The training events of the flat log as numpy arrays, for models that are computed from them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.data.log_rows import LogRows
from recbole_longinterest.data.normalizing import seen_in_training

DAY = 86_400.0  # seconds


@dataclass(frozen=True)
class TrainingLog:
    """Training events, sorted by user and then by time.

    Attributes:
        user: number of each event's history, ascending from 0, int64 [T].
        user_id: RecBole's id of each event's user, int64 [T].
        item: item of each event, int64 [T].
        begin: position of the first event of each event's user, int64 [T].
        target: whether the event is the target of a training row, bool [T]; other events are only context.
    """

    user: NDArray[np.int64]
    user_id: NDArray[np.int64]
    item: NDArray[np.int64]
    begin: NDArray[np.int64]
    target: NDArray[np.bool_]


def training_log(dataset: FlatSequentialDataset, model: str) -> TrainingLog:
    """Collect the training events: those up to each user's last training row.

    Args:
        dataset: the training part.
        model: name of the model, for the error message.

    Raises:
        LongInterestError: if the data set has no flat log, as with benchmark files.
    """
    place = _shown(dataset, model)
    rows = dataset.inter_feat
    user_id = rows.interaction.log[dataset.uid_field].numpy().astype(np.int64)[place]
    first = np.concatenate([[True], user_id[1:] != user_id[:-1]])
    target = np.zeros(len(dataset.event_log[dataset.item_seq_field]), dtype=bool)
    target[rows.position.numpy()] = True
    return TrainingLog(
        user=np.cumsum(first) - 1,
        user_id=user_id,
        item=dataset.event_log[dataset.item_seq_field].numpy().astype(np.int64)[place],
        begin=np.flatnonzero(first)[np.cumsum(first) - 1],
        target=target[place],
    )


def training_days(dataset: FlatSequentialDataset, model: str) -> NDArray[np.float64]:
    """Times of the events of :func:`training_log` in days, [T].

    Raises:
        LongInterestError: if there are no times, or their unit is unknown.
    """
    place = _shown(dataset, model)
    field = f"{dataset.time_field}{dataset.config['LIST_SUFFIX']}"
    times = dataset.event_log.get(field)
    if times is None:
        raise LongInterestError(f"{model} reads {field}, which unused_col drops. Take it out of unused_col.")
    return times.double().numpy()[place] * days_in_unit(dataset, model)


def days_in_unit(dataset: FlatSequentialDataset, model: str) -> float:
    """Length in days of one unit of the log's times. Times are in seconds, unless they are normalised.

    Raises:
        LongInterestError: if they were normalised with ``exact_order: False``, which does not keep the range.
    """
    if dataset.time_field in dataset.normalized_ranges:
        low, high = dataset.normalized_ranges[dataset.time_field]
        return (high - low) / DAY
    config = dataset.config
    if config["normalize_all"] or dataset.time_field in (config["normalize_field"] or ()):
        raise LongInterestError(
            f"{model} reads intervals in days, and {dataset.time_field} is normalised with exact_order: "
            f"{config['exact_order']}, which does not keep its range. Set exact_order: True."
        )
    return 1 / DAY


def _shown(dataset: FlatSequentialDataset, model: str) -> NDArray[np.int64]:
    """Positions of the training events in the flat log."""
    if not isinstance(getattr(dataset, "inter_feat", None), LogRows):
        raise LongInterestError(
            f"{model} counts the events of one log, and this data set has none. Set one_pass: True, and leave "
            "benchmark_filename out."
        )
    events = len(dataset.event_log[dataset.item_seq_field])
    return seen_in_training(dataset.inter_feat, events, with_targets=True).numpy().nonzero()[0]
