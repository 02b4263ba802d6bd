"""RecBole's sequential data set up to its filters: reads and checks the events, and keeps their exact times."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.data.dataset import SequentialDataset
from recbole.data.interaction import Interaction
from recbole.utils import FeatureSource, FeatureType

from recbole_longinterest.common.atomic_files import read_header
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.parquet_events import events_file, is_parquet
from recbole_longinterest.common.printable import printable
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.common.similar_names import notes_on_behaviors
from recbole_longinterest.data.behaviors import (
    behavior_field,
    names_in,
    read_behavior_map,
    renamed,
    uses_behaviors,
)
from recbole_longinterest.data.event_ids import ids_of
from recbole_longinterest.data.log_checks import check_ids, check_order, check_times
from recbole_longinterest.data.log_reader import read_columns
from recbole_longinterest.data.parquet_reader import load_parquet, set_columns
from recbole_longinterest.data.ties import read_tie_seed
from recbole_longinterest.data.time_split import bounds_of, known_by_then, read_time_split, sentence
from recbole_longinterest.nn.options import read_switch


class LoadedDataset(SequentialDataset):
    """RecBole's sequential data set whose events are read by the plugin.

    Each token is stored once, Parquet files are read too, and times are kept in full precision. With ``split_by_time``,
    later events of items that are new after the training period are left out.

    Attributes:
        exact_order: whether the order is by full-precision time.
        tie_seed: seed of the order of ties; None for the order of the file.
        time_bounds: start times of the validation and the test period with ``split_by_time``; else None.
        left_out: numbers of ``events`` and ``items`` that ``split_by_time`` drops, because the items have no event in
            the training period.
    """

    inter_feat: Any
    default_exact_order = False  # RecBole's order, unless exact_order is set

    def __init__(self, config: Settings) -> None:
        self.exact_order = read_switch(config, "exact_order", self.default_exact_order)
        self.tie_seed = read_tie_seed(config)
        check_order(config, self.exact_order, self.tie_seed)
        self.time_bounds: tuple[float, float] | None = None
        self.left_out = {"events": 0, "items": 0}
        self._exact_time: Any = None
        self._to_normalize: list[str] = []
        super().__init__(config)

    def _download(self) -> None:
        raise LongInterestError(
            f"There is no data set folder {self.dataset_path}. Put {self.dataset_name}.inter there, or give the "
            "folder above it as data_path (ml-100k needs none: it is inside RecBole)."
        )

    def _load_inter_feat(self, token: str, dataset_path: str) -> None:
        file = self._events_file(token, dataset_path)
        if file is None:
            super()._load_inter_feat(token, dataset_path)
        else:
            self.inter_feat = load_parquet(self, file)
        if self.inter_feat is None:
            raise LongInterestError(
                "load_col names no columns of the events. Add them, as inter: "
                f"[{self.uid_field}, {self.iid_field}, {self.time_field}]."
            )
        name = Path(file or f"{token}.inter").name
        check_ids(self.inter_feat, self.field2type, self.uid_field, self.iid_field, name)
        names, field = read_behavior_map(self.config), behavior_field(self.config)
        if uses_behaviors(self.config) and (self.benchmark_filename_list or field not in self.inter_feat):
            raise LongInterestError(
                f"behavior_map and target_behavior need the events' behaviours, and {field} is not among the columns "
                f"loaded from {name}. List it in load_col, or name the right one as BEHAVIOR_FIELD."
            )
        if names:
            absent = names.keys() - names_in(self.inter_feat[field])
            if absent:
                self.logger.warning(
                    f"behavior_map has behaviours that no event has: {printable(', '.join(sorted(absent)))}."
                )
            self.inter_feat[field] = renamed(self.inter_feat[field], names)
        if field in self.inter_feat and self.field2type.get(field) == FeatureType.TOKEN:
            for note in notes_on_behaviors(sorted(names_in(self.inter_feat[field]))):
                self.logger.warning(printable(note))
        ends = read_time_split(self.config)
        if ends is not None:
            check_times(self.inter_feat, self.field2type, self.time_field, self.dataset_name)
            times = self.inter_feat[self.time_field].to_numpy(dtype=np.float64)
            self.time_bounds = bounds_of(ends, times, self.dataset_name)
            self._leave_out_unknown()
            self.logger.info(sentence(self.time_bounds, self.left_out))

    def _events_file(self, token: str, dataset_path: str) -> str | None:
        """Path of the events if they are a Parquet file."""
        file = None if self.benchmark_filename_list else events_file(Path(dataset_path), token)
        return str(file) if file is not None and is_parquet(file) else None

    def _leave_out_unknown(self) -> None:
        """Drop events of items without an event before the validation period, so that training has the whole catalogue.

        Training events are moved to the front, because RecBole numbers ids in the order of the table. So later events
        do not affect the training, not even an item's initial weights.
        """
        if self.time_bounds is None:
            return
        events = self.inter_feat
        times = events[self.time_field].to_numpy(dtype=np.float64)
        kept, before = known_by_then(events[self.iid_field], times, self.time_bounds[0]), times < self.time_bounds[0]
        self.left_out = {
            "events": self.left_out["events"] + int((~kept).sum()),
            "items": self.left_out["items"] + int(events[self.iid_field][~kept].nunique()),
        }
        rows = np.concatenate([np.flatnonzero(before), np.flatnonzero(kept & ~before)])
        if len(rows) < len(events) or (np.diff(rows) < 0).any():
            self.inter_feat = events.iloc[rows].reset_index(drop=True)

    def _data_filtering(self) -> None:
        super()._data_filtering()
        self._leave_out_unknown()  # again, because a filter may have dropped an item's early events

    def _load_feat(self, filepath: str, source: FeatureSource | str) -> pd.DataFrame:
        """Load interactions of tokens and numbers with the plugin's reader, other files with RecBole's."""
        separator, encoding = self.config["field_separator"], self.config["encoding"]
        if source != FeatureSource.INTERACTION or self.benchmark_filename_list or len(separator) != 1:
            return super()._load_feat(filepath, source)
        wanted, unwanted = self._get_load_and_unload_col(source)
        columns = [
            (name, kind)
            for name, kind in read_header(filepath, separator, encoding)
            if (wanted is None or name in wanted) and (unwanted is None or name not in unwanted)
        ]
        if not columns or {kind for _, kind in columns} - {"token", "float"}:
            return super()._load_feat(filepath, source)
        set_columns(self, columns)
        return read_columns(filepath, columns, separator, encoding)

    def _remove_duplication(self) -> None:
        """In exact order, sort stably so that ties keep the order of the file; RecBole's sort is not stable."""
        keep = self.config["rm_dup_inter"]
        if keep is None or not self.exact_order or self.time_field not in self.inter_feat:
            super()._remove_duplication()
            return
        self.inter_feat.sort_values(by=[self.time_field], kind="stable", inplace=True)
        self.inter_feat.drop_duplicates(subset=[self.uid_field, self.iid_field], keep=keep, inplace=True)

    def _filter_by_inter_num(self) -> None:
        """Filter as RecBole does, but skip the counting if the intervals allow any number, as by default."""
        if any(self.restricts(f"{kind}_inter_num_interval") for kind in ("user", "item")):
            super()._filter_by_inter_num()

    def restricts(self, key: str) -> bool:
        """Whether a filter by the number of events, such as ``user_inter_num_interval``, leaves anything out."""
        interval = self._parse_intervals_str(self.config[key])
        return bool(interval) and (interval[0][1] > 0 or interval[0][2] < np.inf)

    def _filter_inter_by_user_or_item(self) -> None:
        if self.user_feat is not None or self.item_feat is not None:  # else RecBole copies the table for nothing
            super()._filter_inter_by_user_or_item()

    def _remap(self, remap_list: Sequence[tuple[pd.DataFrame, str, FeatureType]]) -> None:
        """Number tokens as RecBole does. Tokens of a single column are numbered by its codes, with ids of 4 bytes."""
        if len(remap_list) == 1:
            feat, field, _ = remap_list[0]
            if isinstance(feat[field].dtype, pd.CategoricalDtype):
                feat[field], tokens = ids_of(feat[field].array)
                if field not in self.field2id_token:
                    self.field2id_token[field] = tokens
                    self.field2token_id[field] = {token: i for i, token in enumerate(tokens)}
                return
        super()._remap(remap_list)

    def _dataframe_to_interaction(self, data: pd.DataFrame) -> Interaction:
        """Convert a table. Columns of the events are removed one by one, so that memory never holds two copies."""
        lists = self.config["numerical_features"] or ()
        kinds = {self.field2type[field] for field in data} - {FeatureType.TOKEN, FeatureType.FLOAT}
        if data is not self.inter_feat or self.benchmark_filename_list or kinds or not set(lists).isdisjoint(data):
            return super()._dataframe_to_interaction(data)
        columns = {}
        for field in list(data):
            values = data.pop(field).to_numpy()
            tokens = self.field2type[field] == FeatureType.TOKEN
            columns[field] = torch.from_numpy(np.array(values, dtype=None if tokens else np.float32))
        return Interaction(columns)

    def _fill_nan(self) -> None:
        # From here on the rows are final. Time is still float64; RecBole normalises and rounds it later.
        if self.time_field in self.inter_feat:
            self._exact_time = self.inter_feat[self.time_field].to_numpy(dtype=np.float64, copy=True)
            if np.isnan(self._exact_time).any():
                raise LongInterestError(
                    f"{int(np.isnan(self._exact_time).sum())} of {len(self._exact_time)} interactions have no "
                    f"{self.time_field}, which orders the histories. Fill or remove them."
                )
        super()._fill_nan()

    def _normalize(self) -> None:
        """In exact order, only find out what to normalise; this is done when the parts are known."""
        wanted = self.config["normalize_all"] or self.config["normalize_field"]
        if not self.exact_order or self.benchmark_filename_list or not wanted:
            super()._normalize()
            return
        numbers = [field for field in self.inter_feat if self.field2type[field] == FeatureType.FLOAT]
        before = {field: self.inter_feat[field].copy() for field in numbers}
        super()._normalize()
        for field, values in before.items():
            if not self.inter_feat[field].equals(values):
                self._to_normalize.append(field)
                self.inter_feat[field] = values
