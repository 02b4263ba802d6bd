"""The split of a comparison as tables with the data set's own tokens and values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from recbole.config import Config
from recbole.utils import FeatureType

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.behaviors import uses_behaviors
from recbole_longinterest.data.lookup import dataset_class
from recbole_longinterest.data.normalizing import seen_in_training
from recbole_longinterest.experiments.comparison import data

if TYPE_CHECKING:
    from recbole.data.dataset import SequentialDataset

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class SplitTables:
    """The events of a data set by part.

    Attributes:
        events: all events of the log, sorted by user and time, with RecBole's tokens and the file's numbers.
        rows: indices in ``events`` of each part's events; ``train`` has all events that a model may learn from.
        targets: indices of the targets of RecBole's sequential models, which have an earlier event.
        start: index of the first event of each event's user, int64 [T].
        user: column of the users.
        item: column of the items.
        time: column of the times.
        numbers: columns of numbers.
        items: the catalogue.
        left_out: columns of the file that are not in ``events``.
        found: fingerprint of the data.
    """

    events: pd.DataFrame
    rows: Mapping[str, NDArray[np.int64]]
    targets: Mapping[str, NDArray[np.int64]]
    start: NDArray[np.int64]
    user: str
    item: str
    time: str
    numbers: Sequence[str]
    items: NDArray[np.str_]
    left_out: Sequence[str]
    found: data.Fingerprint

    def part(self, name: str) -> pd.DataFrame:
        """Events of a part of ``PARTS``, with a new index."""
        return self.events.iloc[self.rows[name]].reset_index(drop=True)

    def whole(self) -> pd.DataFrame:
        """All events in order, with a last column for their part; it is empty for events that are only in histories."""
        parts = np.full(len(self.events), "", dtype=object)
        for name in PARTS:
            parts[self.rows[name]] = name
        return self.events.assign(**{self.part_column: parts})

    @property
    def part_column(self) -> str:
        """Name of the column of :meth:`whole` with the parts; no other column has it."""
        name = "part"
        while name in self.events:
            name += "_"
        return name

    @property
    def context(self) -> int:
        """Number of events that are in no part, but in histories, such as the first event of a user new in the test."""
        return len(self.events) - sum(len(rows) for rows in self.rows.values())


def split_tables(config: Config) -> SplitTables:
    """Split a data set as a comparison does.

    Args:
        config: config of a sequential model that loads all columns of the events, without normalisation.

    Raises:
        LongInterestError: if a comparison cannot use the data, or with ``target_behavior``, whose context events belong
            to no part.
    """
    if uses_behaviors(config):
        raise LongInterestError(
            "A split with target_behavior or behavior_map cannot be exported: its context events belong to no part. "
            "Leave these settings out."
        )
    kind: Any = dataset_class(config)

    class WholeDataset(kind):
        """A data set that keeps missing numbers and full-precision times."""

        sorted_times: NDArray[np.float64]

        def _fill_nan(self) -> None:
            numbers = [field for field in self.inter_feat if self.field2type[field] == FeatureType.FLOAT]
            missing = {field: self.inter_feat[field].isna() for field in numbers}
            super()._fill_nan()
            for field, where in missing.items():
                self.inter_feat.loc[where, field] = np.nan

        def _derived_log_fields(self, first: np.ndarray) -> dict[str, torch.Tensor]:
            self.sorted_times = self._exact_time.copy()
            found: dict[str, torch.Tensor] = super()._derived_log_fields(first)
            return found

    WholeDataset.__name__ = kind.__name__
    dataset = WholeDataset(config)
    parts = dataset.build()
    found = data.fingerprint(dataset, parts)
    log = parts[0].inter_feat.interaction.log
    events, left_out = {}, []
    for field, values in log.items():
        column = _column(dataset, field, values)
        if column is None:
            left_out.append(field)
        else:
            events[field] = column
    events[dataset.time_field] = dataset.sorted_times
    order = [dataset.uid_field, dataset.iid_field]
    table = pd.DataFrame({name: events[name] for name in (*order, *(name for name in events if name not in order))})
    user = log[dataset.uid_field].numpy()
    first = np.concatenate([[True], user[1:] != user[:-1]])
    positions = [np.sort(part.inter_feat.position.numpy().astype(np.int64)) for part in parts]
    shown = seen_in_training(parts[0].inter_feat, len(table), with_targets=True).numpy().nonzero()[0]
    return SplitTables(
        events=table,
        rows=dict(zip(PARTS, (shown, *positions[1:]), strict=True)),
        targets=dict(zip(PARTS, positions, strict=True)),
        start=np.flatnonzero(first)[np.cumsum(first) - 1],
        user=dataset.uid_field,
        item=dataset.iid_field,
        time=dataset.time_field,
        numbers=[name for name in table if dataset.field2type[name] == FeatureType.FLOAT],
        items=np.asarray(dataset.field2id_token[dataset.iid_field][1:]).astype(str),
        left_out=left_out,
        found=found,
    )


def _column(dataset: "SequentialDataset", field: str, values: torch.Tensor) -> NDArray[Any] | list[str] | None:
    """Convert a column of the log back to its form in the file; None unless it has tokens, token lists or numbers."""
    kind = dataset.field2type[field]
    if kind == FeatureType.FLOAT:
        return values.numpy()
    if kind not in (FeatureType.TOKEN, FeatureType.TOKEN_SEQ):
        return None
    tokens = np.asarray(dataset.field2id_token[field]).astype(object)
    tokens[0] = ""  # the padding means a missing value
    if kind == FeatureType.TOKEN:
        return tokens[values.numpy()]
    return [" ".join(tokens[row[row > 0]]) for row in values.numpy()]
