"""The data set of LongInterest: the flat log with item texts, user columns, missing numbers and time gaps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from recbole.utils import FeatureType
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data import built_in_sources  # noqa: F401 - registers them
from recbole_longinterest.data.absent_features import absent_features, why_not_of_user
from recbole_longinterest.data.behaviors import read_behavior_map
from recbole_longinterest.data.features import Features, resolve_features
from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.data.item_sources import ReadyMatrix, make_item_source, read_item_sources
from recbole_longinterest.data.item_texts import ItemTexts, load_item_texts
from recbole_longinterest.data.item_vectors import ItemVectors
from recbole_longinterest.data.log_rows import LogRows, compact
from recbole_longinterest.data.normalizing import seen_in_training
from recbole_longinterest.data.source_fields import (
    BUILT_IN,
    REQUEST_GAP,
    TOKEN_KINDS,
    SourceField,
    kind_of,
    read_source_levels,
    source_fields,
)
from recbole_longinterest.data.transitions import transitions_of
from recbole_longinterest.data.user_columns import read_user_column, user_column_types
from recbole_longinterest.nn.levels import TIME_GAP_LEVELS, time_gap_levels_of
from recbole_longinterest.nn.options import read_switch
from recbole_longinterest.nn.sources import EVENT_SOURCES, Column, ItemMatrix, MatrixSource, Rating, SourceSpec
from recbole_longinterest.nn.transitions import Transitions


class LongInterestDataset(FlatSequentialDataset):
    """The flat log with item texts, user columns and time gaps. Missing numbers are kept as missing.

    Texts and user columns are not read as RecBole's features, which would change the catalogue and drop events.
    Evaluation rows contain the whole history unless ``eval_history_length`` limits it.

    Attributes:
        features: the sources that are on.
        side_fields: event source -> field of a batch with its values.
        text_source: the items' texts, encoded when the model first needs them.
        number_ranges: column -> lowest and highest number, used to normalise it. They are those of the file or, in
            exact order, those of the training part after :meth:`build`.
        user_tokens: user source -> its tokens by id, the first one is the padding; set by :meth:`data_augmentation`.
        unseen_tokens: source -> ids of tokens that do not occur in training; set by :meth:`build`.
        ready_matrices: item vectors by source if another process has made them, else None.
    """

    ready_matrices: Mapping[str, ItemMatrix] | None = None
    default_exact_order = True
    pads_to_limit = False

    def __init__(self, config: Settings) -> None:
        limit = config["eval_history_length"]
        if limit is not None and not (isinstance(limit, int) and limit >= 1):
            raise LongInterestError(
                f"eval_history_length must be empty (the whole history) or at least 1; got {limit!r}."
            )
        if not config["BEHAVIOR_FIELD"]:
            raise LongInterestError(
                "BEHAVIOR_FIELD must name a column. To read no behaviours, set behavior_features: off."
            )
        self.number_ranges: dict[str, tuple[float, float]] = {}
        self.unseen_tokens: dict[str, list[int]] = {}
        self.user_tokens: dict[str, list[str]] = {}
        self._missing: dict[str, Any] = {}  # column of numbers -> mask of the interactions without a value
        self.side_fields = {name: field.field for name, field in source_fields(config).items()}
        super().__init__(config)
        self._missing = {}
        item_file = Path(self.dataset_path) / f"{self.dataset_name}.item"
        more = [name for name in self._fields if name not in BUILT_IN]
        absent = absent_features(self, source_fields(config), item_file)
        self.features = resolve_features(config, absent, list(read_item_sources(config)), more)
        self.text_source: ItemTexts | ItemVectors | None = None
        if "text" in self.features:
            tokens = self.field2id_token[self.iid_field]
            plain = tokens if config["text_vectors"] else load_item_texts(config, item_file, tokens)
            self.text_source = self.restore_cached("text_source", plain)

    def restore_cached(self, name: str, plain: Any) -> Any:  # noqa: ANN401
        """Restore an attribute from the plain data in a data set cache."""
        if name == "features":
            return Features(plain["id"], tuple(plain["items"]), tuple(plain["events"]))
        if name != "text_source":
            return super().restore_cached(name, plain)
        if self.config["text_vectors"]:
            return ItemVectors.from_config(self.config, plain, self._preloaded_weight)
        return ItemTexts.from_config(self.config, plain)

    @property
    def _fields(self) -> dict[str, SourceField]:
        return source_fields(self.config)

    @property
    def item_matrices(self) -> dict[str, MatrixSource]:
        """Item vector sources by name, in the order of ``features.items``."""
        if self.ready_matrices is not None:
            return {name: ReadyMatrix(self.ready_matrices[name]) for name in self.features.items}
        made: dict[str, MatrixSource] = {}
        settings = read_item_sources(self.config)
        for name in self.features.items:
            if name == "text":
                made[name] = cast("MatrixSource", self.text_source)
            else:
                tokens = [str(token) for token in self.field2id_token[self.iid_field]]
                made[name] = make_item_source(name, self.config, settings[name], tokens)
        return made

    @property
    def history_fields(self) -> Sequence[str]:
        """Fields of the log that the model reads."""
        return [field for field in (self.item_seq_field, *self.side_fields.values()) if field in self.event_log]

    @property
    def request_fields(self) -> Mapping[str, str]:
        """The time from the last event to the target as :data:`REQUEST_GAP`, if ``request_time`` is on."""
        return {REQUEST_GAP: self.side_fields["time"]} if read_switch(self.config, "request_time", False) else {}

    def request_gaps(self) -> Tensor:
        """Count the targets by the bucket of the time gap before them, int64 [T]; see :mod:`~.nn.request`."""
        field = self.side_fields["time"]
        if not isinstance(self.inter_feat, LogRows) or field not in self.event_log:
            why = f"{field} is in unused_col" if isinstance(self.inter_feat, LogRows) else "benchmark_filename is set"
            raise LongInterestError(
                f"request_time: True needs the times of the events in .inter, and {why}. Set request_time: False."
            )
        gaps = self.event_log[field][self.inter_feat.position.long()]
        return torch.bincount(time_gap_levels_of(gaps), minlength=TIME_GAP_LEVELS)

    @property
    def rating_range(self) -> tuple[float, float] | None:
        """Lowest and highest rating, used to normalise ratings; None if they are not normalised."""
        return self.number_ranges.get(self.config["RATING_FIELD"])

    # --- the log -----------------------------------------------------------------------------------------------------

    def _number_columns(self) -> list[str]:
        """Numeric columns of the events that are sources."""
        return [
            field.column
            for field in self._fields.values()
            if field.of == "event"
            and field.name != "time"
            and field.column in self.inter_feat
            and self.field2type[field.column] == FeatureType.FLOAT
        ]

    def _fill_nan(self) -> None:
        missing = {column: self.inter_feat[column].isna() for column in self._number_columns()}
        super()._fill_nan()
        for column, gone in missing.items():
            if gone.any():
                self._missing[column] = gone.to_numpy()
                self.logger.warning(
                    f"{int(gone.sum())} of {len(gone)} interactions have no {column}; "
                    "they are kept and get the level 'missing'."
                )

    def _normalize(self) -> None:
        named = self.config["normalize_field"] or []
        for column in self._number_columns():
            if self.config["normalize_all"] or column in named:
                values = self.inter_feat[column]
                self.number_ranges[column] = float(values.min()), float(values.max())
        super()._normalize()

    def _discretization(self) -> None:
        super()._discretization()
        lists = self.config["numerical_features"] or ()  # columns that RecBole has discretised
        for column, gone in self._missing.items():
            if column in self.inter_feat and column not in lists:
                self.inter_feat.loc[gone, column] = np.nan  # set only now, because normalising cannot handle NaN

    def _derived_log_fields(self, first: np.ndarray) -> dict[str, Tensor]:
        gap = np.maximum(np.diff(self._exact_time, prepend=0.0), 0)  # in RecBole's order, close times may be swapped
        gap[first] = -1.0  # no earlier event
        return {self.side_fields["time"]: torch.from_numpy(gap.astype(np.float32))}

    def data_augmentation(self) -> None:
        """Make the log as in :class:`FlatSequentialDataset`, and add the user columns to the users' events."""
        super().data_augmentation()
        types = user_column_types(self.config)
        users = self.inter_feat.interaction.log[self.uid_field].long()
        for name, field in self._fields.items():
            if field.of != "user" or why_not_of_user(self, field, types):
                continue  # resolve_features raises for all missing columns together
            column = read_user_column(self.config, field.column, self.field2id_token[self.uid_field])
            self.event_log[field.field] = compact(column.values)[users]
            self.user_tokens[name] = column.tokens

    # --- splits ------------------------------------------------------------------------------------------------------

    def build(self) -> list["LongInterestDataset"]:
        """Split as RecBole does. Evaluation rows are limited by ``eval_history_length``, not by the training window."""
        train, *held_out = parts = super().build()
        self._forget_unseen_tokens(parts)
        for part in (self, *parts):
            part.number_ranges = {**self.number_ranges, **self.normalized_ranges}
            part.unseen_tokens = self.unseen_tokens
        for phase, part in zip(("valid", "test"), held_out, strict=True):
            part.history_limit = self.config["eval_history_length"]
            if self.config["eval_args"]["mode"][phase] != "full" and isinstance(part.inter_feat, LogRows):
                # RecBole concatenates the candidates of several users, so their histories must have one width.
                part.history_limit = max(part.padded_lengths().tolist(), default=1)
                part.pads_to_limit = True
        return [train, *held_out]

    def tokens_of(self, name: str) -> list[str]:
        """Tokens of a source by id, the first one is the padding; empty for a source of numbers."""
        field = self._fields[name]
        if field.of == "user":
            return self.user_tokens[name]
        # Benchmark files may have behaviours only for the histories.
        column = field.field if self.benchmark_filename_list else field.column
        if name == "time" or self.field2type[column] not in (FeatureType.TOKEN, FeatureType.TOKEN_SEQ):
            return []
        return [str(token) for token in self.field2id_token[column]]

    def token_fields(self) -> list[str]:
        """Columns of ``.inter``, or fields of benchmark files, whose tokens are levels of the event sources."""
        fields = [self._fields[name] for name in self.features.events if self._fields[name].of == "event"]
        columns = [field.field if self.benchmark_filename_list else field.column for field in fields]
        return [column for column in columns if column in self.field2id_token]

    def _forget_unseen_tokens(self, parts: Sequence["LongInterestDataset"]) -> None:
        """Map tokens that do not occur in training to the level "missing", instead of an untrained embedding."""
        train = parts[0]
        if not isinstance(train.inter_feat, LogRows):
            return
        for name in self.features.events:
            tokens, field = self.tokens_of(name), self.side_fields[name]
            if not tokens:
                continue
            ids = train.event_log[field].long()
            shown = seen_in_training(train.inter_feat, len(ids), with_targets=False)
            seen = torch.zeros(len(tokens), dtype=torch.bool)
            seen[ids[shown].flatten()] = True
            self.unseen_tokens[name] = [i for i in (~seen).nonzero().flatten().tolist() if i]
            if not seen[ids].all():
                known = torch.where(seen[ids], ids, 0).to(train.event_log[field].dtype)
                for part in parts:
                    part.event_log = {**part.event_log, field: known}

    # --- inputs of the model -----------------------------------------------------------------------------------------

    def event_sources(self) -> list[SourceSpec]:
        """Event sources fitted to the training part; call it on that part."""
        types = user_column_types(self.config)
        specs = []
        for name in self.features.events:
            field = self._fields[name]
            of_type = types[field.column] if field.of == "user" else "float"
            if field.of == "event" and field.column in self.field2type:
                of_type = self.field2type[field.column].value
            kind = kind_of(field, of_type)
            if kind in TOKEN_KINDS and name in read_source_levels(self.config):
                raise LongInterestError(f"source_levels.{name} must be left out: {name} has a level for each token.")
            settings = EVENT_SOURCES.get(kind).fit(self._training_column(name))
            specs.append(SourceSpec(name, kind, field.column, field.of, settings))
        return specs

    def transitions(self, size: int) -> Transitions:
        """Count the transitions of the training part; call it on that part.

        Args:
            size: number of followers to keep for each item.
        """
        return transitions_of(self, size)

    def _training_column(self, name: str) -> Column:
        """Values of a source in the training part, with its tokens and settings."""
        field = self._fields[name]
        values = torch.empty(0)
        if name != "time":
            values = (
                self.event_log[field.field][
                    seen_in_training(self.inter_feat, len(self.event_log[field.field]), with_targets=False)
                ]
                if isinstance(self.inter_feat, LogRows)
                else self.inter_feat[field.field].flatten()
            )
        return Column(
            values,
            self.tokens_of(name),
            self.unseen_tokens.get(name, ()),
            self.number_ranges.get(field.column) if field.of == "event" and name != "time" else None,
            self._options_of(name),
        )

    def _options_of(self, name: str) -> dict[str, Any]:
        """The user's settings for a source."""
        if name == "behavior":
            return {"map": dict(read_behavior_map(self.config))}
        key = "rating_levels" if name == "rating" else f"source_levels.{name}"
        levels = self.config["rating_levels"] if name == "rating" else read_source_levels(self.config).get(name)
        # [] is an error only if the user wrote it: an update of a training without ratings sets it, too.
        by_user = name == "rating" and getattr(self.config, "external_config_dict", {}).get(key) == []
        if levels is not None and (not isinstance(levels, list) or by_user or not all(map(_is_number, levels))):
            raise LongInterestError(f"{key} must be a list of numbers, or empty to find them; got {levels!r}.")
        return {"levels": levels, "separator": self.config["seq_separator"]}

    def training_rating_values(self) -> Tensor:
        """Levels of the rating scale: ``rating_levels``, else those found in the training events."""
        return torch.tensor(Rating.fit(self._training_column("rating"))["values"], dtype=torch.float32)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))
