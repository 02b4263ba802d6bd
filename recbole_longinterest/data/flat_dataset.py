"""A flat version of RecBole's sequential data set for any model: exact time order and no copied prefixes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.orders import Index, stable_order
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.behaviors import (
    behavior_field,
    ids_of_targets,
    read_target_behaviors,
)
from recbole_longinterest.data.event_keys import Keys, event_keys, token_keys
from recbole_longinterest.data.loaded_dataset import LoadedDataset
from recbole_longinterest.data.log_checks import check_parts, check_times
from recbole_longinterest.data.log_rows import LogRows, compact, restore
from recbole_longinterest.data.normalizing import normalize_parts, seen_in_training
from recbole_longinterest.data.splits import by_ends, by_first_time, group_index, leave_out
from recbole_longinterest.data.ties import shuffle_ties
from recbole_longinterest.data.time_split import parts_of
from recbole_longinterest.data.windows import gather_windows


class FlatSequentialDataset(LoadedDataset):
    """RecBole's sequential data set without copied prefixes: rows point into one flat log.

    Rows, splits and field names are RecBole's. A batch gathers its history fields (``<field>_list``) from the log on
    access. With ``exact_order: True`` the log is sorted by user and full-precision time; RecBole casts times to float32
    before it sorts (RecBole issue #2204). Ties keep the order of the file or, with ``tie_order: random``, get a random
    order. With ``split_by_time`` the parts are periods, see :mod:`recbole_longinterest.data.time_split`.

    Attributes:
        event_log: history field -> its values over the log, [n_events, ...]; shared by the splits.
        history_limit: maximum events of a history in a batch, None for no limit.
        target_list_field: field of one-pass batches with each position's target.
        normalized_ranges: column -> lowest and highest value of the training part, for columns scaled by these.
        keeps_times: whether :meth:`event_times` returns times after :meth:`build`, which takes 8 bytes per event.
    """

    history_limit: int | None
    pads_to_limit = True  # RecBole's models expect histories of width MAX_ITEM_LIST_LENGTH; causal models do not
    history_dtype: torch.dtype | None = None  # dtype of numbers; None for RecBole's

    def __init__(self, config: Settings) -> None:
        self.history_limit = config["MAX_ITEM_LIST_LENGTH"]
        self.event_log: dict[str, Tensor] = {}
        self.keeps_times = False
        self.normalized_ranges: dict[str, tuple[float, float]] = {}
        super().__init__(config)
        self.target_list_field = f"{self.iid_field}_target{config['LIST_SUFFIX']}"

    @property
    def item_seq_field(self) -> str:
        """History field of the items, for any ITEM_ID_FIELD."""
        return str(self.iid_field + self.config["LIST_SUFFIX"])

    @property
    def request_fields(self) -> Mapping[str, str]:
        """Values of the target that are known at the time of the request: field of a batch -> field of the log.

        Empty unless a setting such as ``request_time`` adds one.
        """
        return {}

    @property
    def history_fields(self) -> Sequence[str]:
        """Fields of the log that the model reads."""
        return list(self.event_log)

    # --- the log -----------------------------------------------------------------------------------------------------

    def data_augmentation(self) -> None:
        """Sort the log, and make a row for every target; a user's first event is never a target."""
        self._aug_presets()
        self._check_field("uid_field", "time_field")
        check_times(self.inter_feat, self.field2type, self.time_field, self.dataset_name)
        users = compact(self.inter_feat[self.uid_field]).numpy()
        times = self._exact_time if self.exact_order else self.inter_feat[self.time_field].numpy()
        order = stable_order(users, times)  # ties are in the order of the file
        if self.tie_seed is not None:
            keys = self._event_keys
            order = shuffle_ties(order, users[order], self._exact_time[order], self.tie_seed, keys)
        users, self._exact_time = users[order], self._exact_time[order]

        first = np.concatenate([[True], users[1:] != users[:-1]])
        rows = np.flatnonzero(~first & self._is_target(order))
        if len(rows) == 0 and not first.all():
            raise LongInterestError(
                f"{self.dataset_name}: no event of target_behavior: {self.config['target_behavior']} has an earlier "
                "event of its user, so there is nothing to predict."
            )
        if len(rows) == 0:
            raise LongInterestError(
                f"{self.dataset_name}: no user has two events, so there is nothing to predict. "
                "Check user_inter_num_interval, the filters and USER_ID_FIELD."
            )
        index = torch.from_numpy(order)
        columns = {self.uid_field: torch.from_numpy(users)}
        for field in self.inter_feat.columns:
            if field != self.uid_field:
                columns[field] = compact(self.inter_feat[field][index])
                self.inter_feat[field] = torch.empty(0)  # the log owns the values now
        del order, index
        self.event_log = {
            getattr(self, f"{field}_list_field"): self._as_history(values)
            for field, values in columns.items()
            if field != self.uid_field
        }
        self.event_log.update(self._derived_log_fields(first))
        start = torch.zeros(self.user_num, dtype=torch.int64)
        start[torch.from_numpy(users[first]).long()] = torch.from_numpy(np.flatnonzero(first))
        self.inter_feat = LogRows(columns, torch.from_numpy(rows), start, self.uid_field, self.item_list_length_field)
        self.inter_feat.limit, self.inter_feat.histories = self.history_limit, self._history

    def _event_keys(self, rows: Index) -> Keys:
        """Keys of rows of the table, uint64 [n], from the tokens and times that every model loads."""
        users, items = (
            token_keys(self.field2id_token[field])[self.inter_feat[field].numpy()[rows]]
            for field in (self.uid_field, self.iid_field)
        )
        return event_keys(users, items, self._exact_time[rows])

    def _is_target(self, order: np.ndarray) -> np.ndarray:
        """Mask of the events of ``target_behavior``, which may be targets, bool [n_events]; others are only context."""
        names, field = read_target_behaviors(self.config), behavior_field(self.config)
        if not names:
            return np.ones(len(order), dtype=bool)
        targets = ids_of_targets(names, self.field2token_id[field], self.dataset_name)
        return np.isin(self.inter_feat[field].numpy()[order], targets)

    def _as_history(self, values: Tensor) -> Tensor:
        return values.to(self.history_dtype) if self.history_dtype and values.is_floating_point() else values

    def _derived_log_fields(self, first: np.ndarray) -> dict[str, Tensor]:
        """Further fields of the log, for subclasses; ``first`` marks the first event of each user, [n_events]."""
        return {}

    def sort(self, by: str | Sequence[str], ascending: bool | Sequence[bool] = True) -> None:
        """Sort the rows for :meth:`build`; a sort by time uses full-precision time.

        A split of every user's rows depends only on the order of the users and on that of each user's rows, which the
        log has. So before such a split, whole users are sorted by the times of their first rows.
        """
        rows = self.inter_feat
        if by != self.time_field or ascending is not True or not self.exact_order or not isinstance(rows, LogRows):
            super().sort(by=by, ascending=ascending)
            return
        times, how = self._exact_time[rows.position.numpy()], self.config["eval_args"]
        by_user = "LS" in (how["split"] or {}) or ("RS" in (how["split"] or {}) and how["group_by"] == "user")
        if by_user and self.time_bounds is None:
            self.inter_feat = rows[by_first_time(rows[self.uid_field].numpy(), times)]
        else:
            self.inter_feat = rows[stable_order(times)]

    def event_times(self) -> np.ndarray:
        """Full-precision times of all events, in the order of the table before :meth:`build`, of the log after it.

        Returns:
            float64 [n_events]; empty for data without times, and after :meth:`build` unless :attr:`keeps_times`.
        """
        return np.zeros(0) if self._exact_time is None else self._exact_time

    # --- splits ------------------------------------------------------------------------------------------------------

    def build(self) -> list[Any]:
        """Split as RecBole does, or by ``split_by_time``, then normalise numbers by the range of the training part.

        Raises:
            ValueError: if there are not three parts.
        """
        parts = super().build() if self.time_bounds is None else self._parts_by_time(self.time_bounds)
        check_parts(parts, self.dataset_name)
        if self._to_normalize:
            exact = {self.time_field: torch.from_numpy(self._exact_time)}
            self.normalized_ranges = normalize_parts(parts, self._to_normalize, exact)
            for part in parts:
                part.normalized_ranges = self.normalized_ranges
        for part in parts if self.keeps_times else (self, *parts):
            part._exact_time = None  # takes 8 bytes per event and is only needed for sorting
        return parts

    def _parts_by_time(self, bounds: tuple[float, float]) -> list[Any]:
        self._change_feat_format()
        self.sort(by=self.time_field)
        rows = self.inter_feat
        times = self._exact_time[rows.position.numpy()]
        part = parts_of(rows[self.uid_field].numpy(), times, bounds, self.config["split_targets"])
        return self._parts(np.arange(len(part)), part, 3)

    def _grouped_index(self, group_by_list: np.ndarray) -> list[np.ndarray]:
        rows, size = group_index(group_by_list)
        return np.split(rows, np.cumsum(size)[:-1])

    def split_by_ratio(self, ratios: Sequence[float], group_by: str | None = None) -> list[Any]:
        """RecBole's split by ratio; see :meth:`recbole.data.dataset.Dataset.split_by_ratio`."""
        if group_by is None or not isinstance(self.inter_feat, LogRows):
            return super().split_by_ratio(ratios, group_by)
        total = sum(ratios)
        shares = [ratio / total for ratio in ratios]
        rows, size = group_index(self.inter_feat[group_by].numpy())
        return self._parts(rows, by_ends(size, lambda number: self._calcu_split_ids(number, shares)), len(ratios))

    def leave_one_out(self, group_by: str, leave_one_mode: str) -> list[Any]:
        """RecBole's leave-one-out split; see :meth:`recbole.data.dataset.Dataset.leave_one_out`."""
        out = {"valid_and_test": (1, 2), "valid_only": (1,), "test_only": (2,)}.get(leave_one_mode)
        if group_by is None or out is None or not isinstance(self.inter_feat, LogRows):
            return super().leave_one_out(group_by, leave_one_mode)
        rows, size = group_index(self.inter_feat[group_by].numpy())
        part = np.array([0, *out], dtype=np.int8)[leave_out(size, len(out))]
        return self._parts(rows, part, 3)

    def _parts(self, rows: np.ndarray, part: np.ndarray, number: int) -> list[Any]:
        self._drop_unused_col()
        return [self.copy(self.inter_feat[rows[part == which]]) for which in range(number)]

    def _drop_unused_col(self) -> None:
        for name, fields in (self.config["unused_col"] or {}).items():
            feat = getattr(self, f"{name}_feat")
            for field in fields:
                if name == "inter" and field in self.event_log:
                    self.event_log = {other: values for other, values in self.event_log.items() if other != field}
                elif field in feat:
                    self._del_col(feat, field)
                else:
                    self.logger.warning(f"unused_col names {field}, which is not in {name}_feat.")

    # --- batches -----------------------------------------------------------------------------------------------------

    def __getitem__(self, index: Any, join: bool = True) -> Interaction:  # noqa: ANN401
        """Return rows with their history fields, gathered from the log and padded at the end."""
        rows = self.inter_feat[index]
        if isinstance(rows, LogRows):
            rows = self._with_history(rows)
        return self.join(rows) if join else rows

    def _with_history(self, rows: LogRows) -> Interaction:
        data = {field: rows[field] for field in rows.columns}
        data[self.item_list_length_field] = self._length(rows)
        for field in self.history_fields:
            data[field] = self._history(field, rows)
        for field, source in self.request_fields.items():
            data[field] = self.event_log[source][rows.position.long()]
        return Interaction(data)

    def _length(self, rows: LogRows) -> Tensor:
        length = rows.whole_length()
        return length if self.history_limit is None else length.clamp(max=self.history_limit)

    def padded_lengths(self) -> Tensor:
        """Number of events of each row's history in a batch, int64 [n_rows]."""
        if not isinstance(self.inter_feat, LogRows) or (self.pads_to_limit and self.history_limit is not None):
            return torch.full((len(self.inter_feat),), self.max_item_list_len)
        return self._length(self.inter_feat)

    def training_events(self) -> Tensor:
        """Count the occurrences of each item in the rows, as a target or in a history, int64 [N]."""
        if not isinstance(self.inter_feat, LogRows):  # benchmark files
            shown = torch.cat([self.inter_feat[field].flatten() for field in (self.iid_field, self.item_seq_field)])
            return torch.bincount(shown[shown > 0], minlength=self.item_num)
        items = self.event_log[self.item_seq_field]
        shown = seen_in_training(self.inter_feat, len(items), with_targets=True)
        return torch.bincount(items[shown].long(), minlength=self.item_num)

    def _history(self, field: str, rows: LogRows) -> Tensor:
        """A history field of rows, [B, L]."""
        length = self._length(rows)
        width = self.history_limit if self.pads_to_limit else None
        return restore(gather_windows(self.event_log[field], rows.position.long() - length, length, width))

    def inter_matrix(self, form: str = "coo", value_field: str | None = None) -> Any:  # noqa: ANN401
        """RecBole's sparse user-item matrix of the rows and each user's first event."""
        if not isinstance(self.inter_feat, LogRows):
            return super().inter_matrix(form, value_field)
        rows, length = self.inter_feat, self.inter_feat.whole_length()
        if (length > 0).all():  # otherwise the rows already include first events
            opening = rows.position[length == 1].long() - 1
            rows = rows.after(opening)
        return self._create_sparse_matrix(rows, self.uid_field, self.iid_field, form, value_field)

    def restore_cached(self, name: str, plain: Any) -> Any:  # noqa: ANN401
        """Restore an attribute from the plain data in a data set cache."""
        if name != "inter_feat" or not isinstance(plain, tuple):
            return plain
        rows = LogRows.from_cache(plain)
        rows.limit, rows.histories = self.config["MAX_ITEM_LIST_LENGTH"], self._history
        return rows
