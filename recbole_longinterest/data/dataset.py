"""The sequential data set over a flat log, in full-precision time order, and the one LongInterest reads."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.data.dataset import SequentialDataset
from recbole.data.interaction import Interaction
from recbole.utils import FeatureType
from torch import Tensor

from recbole_longinterest.data.features import resolve_features
from recbole_longinterest.data.item_texts import ItemTexts, load_item_texts, why_no_text
from recbole_longinterest.data.item_vectors import ItemVectors
from recbole_longinterest.data.sequences import gather_windows
from recbole_longinterest.model.levels import rating_values
from recbole_longinterest.model.options import parse_switch

POSITION = "log_position"  # extra column of the rows: where in the log the row's own event stands


class FlatSequentialDataset(SequentialDataset):
    """RecBole's sequential data set without copied prefixes: rows point into one flat log.

    Rows, splits and field names are RecBole's; a batch's history fields (``<field>_list``) are gathered from the log
    when it is asked for. The log is sorted by user and full-precision time, ties in file order, because RecBole casts
    times to float32 before it sorts (RecBole issue #2204); ``exact_order: False`` gives RecBole's order back.

    Attributes:
        event_log: field -> its values over the log, [n_events, ...]; shared by the splits.
        history_limit: events of a history that a batch holds at most, None for all.
    """

    inter_feat: Any
    history_limit: int | None
    pads_to_limit = True  # RecBole's models expect the width of MAX_ITEM_LIST_LENGTH

    def __init__(self, config: Any) -> None:  # noqa: ANN401 - RecBole is untyped
        self.history_limit = config["MAX_ITEM_LIST_LENGTH"]
        self.event_log: dict[str, Tensor] = {}
        exact = parse_switch(config["exact_order"])
        if exact is None:
            raise ValueError(f"exact_order must be True or False; got {config['exact_order']!r}.")
        self.exact_order = exact
        super().__init__(config)

    def _download(self) -> None:
        raise ValueError(
            f"There is no data set folder {self.dataset_path}. Put {self.dataset_name}.inter there, or give the "
            "folder above it as data_path (ml-100k needs none: it is inside RecBole)."
        )

    def _load_inter_feat(self, token: str, dataset_path: str) -> None:
        super()._load_inter_feat(token, dataset_path)
        if len(self.inter_feat) == 0:
            raise ValueError(f"{Path(dataset_path) / token}.inter holds no interaction, only a header.")

    def _fill_nan(self) -> None:
        # Rows are final from here on, and time is still float64: RecBole normalises and rounds it later.
        if self.time_field in self.inter_feat:
            self._exact_time = self.inter_feat[self.time_field].to_numpy(dtype=np.float64, copy=True)
            if np.isnan(self._exact_time).any():
                raise ValueError(
                    f"{int(np.isnan(self._exact_time).sum())} of {len(self._exact_time)} interactions have no "
                    f"{self.time_field}, which orders the histories. Fill or remove them."
                )
        super()._fill_nan()

    def data_augmentation(self) -> None:
        """Sort the log and make one row for every event but each user's first, pointing into it."""
        self._aug_presets()
        self._check_field("uid_field", "time_field")
        if self.time_field not in self.inter_feat:
            raise ValueError(
                f"{self.dataset_name}.inter has no column {self.time_field}, which orders the histories. Name the "
                "right one as TIME_FIELD and list it in load_col."
            )
        users = self.inter_feat[self.uid_field].numpy()
        times = self._exact_time if self.exact_order else self.inter_feat[self.time_field].numpy()
        order = np.lexsort((times, users))  # stable: ties keep the order of the file
        users, self._exact_time = users[order], self._exact_time[order]
        log = self.inter_feat[torch.from_numpy(order)]

        first = np.concatenate([[True], users[1:] != users[:-1]])
        start = np.maximum.accumulate(np.where(first, np.arange(len(users)), 0))  # where each event's history starts
        rows = np.flatnonzero(~first)
        if len(rows) == 0:
            raise ValueError(
                f"{self.dataset_name}: no user has two events, so there is nothing to predict. "
                "Check user_inter_num_interval, the filters and USER_ID_FIELD."
            )
        self.event_log = {
            getattr(self, f"{field}_list_field"): _compact(log[field])
            for field in log.columns
            if field != self.uid_field
        }
        self.event_log.update(self._derived_log_fields(first))
        data = log[torch.from_numpy(rows)]
        data.update(
            Interaction(
                {
                    self.item_list_length_field: torch.from_numpy(rows - start[rows]),  # whole history before the row
                    POSITION: torch.from_numpy(rows),
                }
            )
        )
        self.inter_feat = data

    def _derived_log_fields(self, first: np.ndarray) -> dict[str, Tensor]:
        """Further fields of the log, for subclasses; ``first`` marks the first event of each user, [n_events]."""
        return {}

    def sort(self, by: Any, ascending: Any = True) -> None:  # noqa: ANN401 - RecBole's signature
        """Sort the rows; by time means by full-precision time."""
        if by == self.time_field and ascending is True and self.exact_order and POSITION in self.inter_feat:
            times = self._exact_time[self.inter_feat[POSITION].numpy()]
            self.inter_feat = self.inter_feat[torch.from_numpy(np.argsort(times, kind="stable"))]
        else:
            super().sort(by=by, ascending=ascending)

    def __getitem__(self, index: Any, join: bool = True) -> Interaction:  # noqa: ANN401
        """Rows with their history fields, gathered from the log and padded at the end."""
        rows = self.inter_feat[index]
        if POSITION in rows:
            rows = self._with_history(rows)
        return self.join(rows) if join else rows

    def _with_history(self, rows: Interaction) -> Interaction:
        data = {field: rows[field] for field in rows.columns if field != POSITION}
        length = rows[self.item_list_length_field]
        if self.history_limit is not None:
            length = length.clamp(max=self.history_limit)
        data[self.item_list_length_field] = length
        width = self.history_limit if self.pads_to_limit else None
        for field, values in self.event_log.items():
            data[field] = restore(gather_windows(values, rows[POSITION] - length, length, width))
        return Interaction(data)

    def inter_matrix(self, form: str = "coo", value_field: str | None = None) -> Any:  # noqa: ANN401
        """RecBole's sparse user-item matrix of the rows and of each user's first event."""
        if POSITION not in self.inter_feat:
            return super().inter_matrix(form, value_field)
        first = self.inter_feat[self.item_list_length_field] == 1
        opening = self.inter_feat[POSITION][first] - 1
        fields = [self.iid_field] + ([value_field] if value_field else [])
        data = {self.uid_field: torch.cat([self.inter_feat[self.uid_field], self.inter_feat[self.uid_field][first]])}
        for field in fields:
            log = restore(self.event_log[getattr(self, f"{field}_list_field")])
            data[field] = torch.cat([self.inter_feat[field], log[opening]])
        return self._create_sparse_matrix(Interaction(data), self.uid_field, self.iid_field, form, value_field)


class LongInterestDataset(FlatSequentialDataset):
    """What LongInterest reads: the flat log with missing ratings kept, time gaps, and one text row per item id.

    Texts are read outside RecBole's item features, which would change the catalogue and drop interactions.
    Evaluation rows hold the whole history unless ``eval_history_length`` sets a window.

    Attributes:
        features: which feature sources are on.
        side_fields: side feature -> field of a batch that carries it.
        text_source: the items' texts, encoded when the model first needs them.
        target_list_field: field of one-pass batches that holds each position's target.
    """

    pads_to_limit = False

    def __init__(self, config: Any) -> None:  # noqa: ANN401
        limit = config["eval_history_length"]
        if limit is not None and not (isinstance(limit, int) and limit >= 1):
            raise ValueError(f"eval_history_length must be empty (the whole history) or at least 1; got {limit!r}.")
        super().__init__(config)
        suffix = config["LIST_SUFFIX"]
        self.target_list_field = f"{self.iid_field}_target{suffix}"
        self.side_fields = {
            "rating": config["RATING_FIELD"] + suffix,
            "behavior": config["BEHAVIOR_FIELD"] + suffix,
            "time": f"time_gap{suffix}",
        }
        item_file = Path(self.dataset_path) / f"{self.dataset_name}.item"
        self.features = resolve_features(config, self._absent_features(config, item_file))
        self.text_source: ItemTexts | ItemVectors | None = None
        if self.features.text:
            tokens = self.field2id_token[self.iid_field]
            plain = tokens if config["text_vectors"] else load_item_texts(config, item_file, tokens)
            self.text_source = self.restore_cached("text_source", plain)

    def restore_cached(self, name: str, plain: Any) -> Any:  # noqa: ANN401
        """Make an attribute again that a data set cache holds as plain data; see :mod:`recbole_longinterest.caches`."""
        if name != "text_source":
            return plain
        if self.config["text_vectors"]:
            return ItemVectors.from_config(self.config, plain, self._preloaded_weight)
        return ItemTexts.from_config(self.config, plain)

    def _absent_features(self, config: Any, item_file: Path) -> dict[str, str]:  # noqa: ANN401
        absent = {}
        no_text = why_no_text(config, item_file)
        if no_text:
            absent["text"] = no_text
        lists = "_list fields of the benchmark files" if self.benchmark_filename_list else "columns loaded from .inter"
        for name, key in (("rating", "RATING_FIELD"), ("behavior", "BEHAVIOR_FIELD"), ("time", "TIME_FIELD")):
            column = self.side_fields[name] if self.benchmark_filename_list else config[key]
            if column not in self.inter_feat:
                absent[name] = f"{column} is not among the {lists}."
        return absent

    def _fill_nan(self) -> None:
        rating = self.config["RATING_FIELD"]
        missing = self.inter_feat[rating].isna() if rating in self.inter_feat else None
        super()._fill_nan()
        self._missing_rating = None
        if missing is not None and self.field2type[rating] == FeatureType.FLOAT and missing.any():
            self._missing_rating = missing.to_numpy()
            self.logger.warning(
                f"{int(missing.sum())} of {len(missing)} interactions have no {rating}; "
                "they are kept and get the level 'missing'."
            )

    def _discretization(self) -> None:
        super()._discretization()
        if self._missing_rating is not None:  # after normalising, which cannot take NaN
            self.inter_feat.loc[self._missing_rating, self.config["RATING_FIELD"]] = np.nan

    def _derived_log_fields(self, first: np.ndarray) -> dict[str, Tensor]:
        gap = np.diff(self._exact_time, prepend=0.0)
        gap[first] = -1.0  # no event before
        return {self.side_fields["time"]: torch.from_numpy(gap.astype(np.float32))}

    def build(self) -> list["LongInterestDataset"]:
        """Split as RecBole does; training rows keep the window, evaluation rows get ``eval_history_length``."""
        train, *held_out = super().build()
        for part in held_out:
            part.history_limit = self.config["eval_history_length"]
        return [train, *held_out]

    def training_rating_values(self) -> Tensor:
        """Levels of the rating scale, from the events that the training rows show to the model."""
        field = self.side_fields["rating"]
        if POSITION not in self.inter_feat:
            return rating_values(self.inter_feat[field].flatten())
        history_start = self.inter_feat[POSITION] - self.inter_feat[self.item_list_length_field]
        seen = torch.zeros(len(self.event_log[field]) + 1, dtype=torch.int64)
        last = torch.full_like(seen, -1)
        last.scatter_reduce_(0, history_start, self.inter_feat[POSITION], "amax")
        opened = last >= 0
        seen.index_add_(0, opened.nonzero().flatten(), torch.ones(int(opened.sum()), dtype=torch.int64))
        seen.index_add_(0, last[opened], torch.full((int(opened.sum()),), -1, dtype=torch.int64))
        return rating_values(self.event_log[field][seen.cumsum(0)[:-1] > 0])


def _compact(values: Tensor) -> Tensor:
    """Hold ids in 32 bits: half the memory, and no catalogue is larger."""
    return values.int() if values.dtype == torch.int64 else values


def restore(values: Tensor) -> Tensor:
    """RecBole's ids are int64."""
    return values.long() if values.dtype == torch.int32 else values
