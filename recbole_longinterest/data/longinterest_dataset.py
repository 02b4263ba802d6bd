"""The data set LongInterest reads: the flat log with text rows, missing ratings, time gaps and whole histories."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.utils import FeatureType
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.features import resolve_features
from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.data.item_texts import ItemTexts, load_item_texts, why_no_text
from recbole_longinterest.data.item_vectors import ItemVectors
from recbole_longinterest.data.log_rows import LogRows
from recbole_longinterest.data.normalizing import seen_in_training
from recbole_longinterest.nn.levels import rating_values


class LongInterestDataset(FlatSequentialDataset):
    """What LongInterest reads: the flat log with missing ratings kept, time gaps, and one text row per item id.

    Texts are read outside RecBole's item features, which would change the catalogue and drop interactions.
    Evaluation rows hold the whole history unless ``eval_history_length`` sets a window.

    Attributes:
        features: which feature sources are on.
        side_fields: side feature -> field of a batch that carries it.
        text_source: the items' texts, encoded when the model first needs them.
        rating_range: lowest and highest rating by which ratings are normalised, None where they are not: of the file,
            and in exact order of the training part once :meth:`build` has made it.
    """

    rating_range: tuple[float, float] | None = None
    unseen_behaviors = torch.empty(0, dtype=torch.int64)

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
        super().__init__(config)
        suffix = config["LIST_SUFFIX"]
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
        """Make an attribute again that a data set cache holds as plain data."""
        if name != "text_source":
            return super().restore_cached(name, plain)
        if self.config["text_vectors"]:
            return ItemVectors.from_config(self.config, plain, self._preloaded_weight)
        return ItemTexts.from_config(self.config, plain)

    @property
    def history_fields(self) -> Sequence[str]:
        """Fields of the log that the model reads."""
        return [field for field in (self.item_seq_field, *self.side_fields.values()) if field in self.event_log]

    def _absent_features(self, config: Settings, item_file: Path) -> dict[str, str]:
        absent = {}
        no_text = why_no_text(config, item_file)
        if no_text:
            absent["text"] = no_text
        lists = "_list fields of the benchmark files" if self.benchmark_filename_list else "columns loaded from .inter"
        for name, key in (("rating", "RATING_FIELD"), ("behavior", "BEHAVIOR_FIELD"), ("time", "TIME_FIELD")):
            column = self.side_fields[name] if self.benchmark_filename_list else config[key]
            unused = (config["unused_col"] or {}).get("inter") or ()
            if column not in self.inter_feat:
                absent[name] = f"{column} is not among the {lists}."
            elif column in unused or self.side_fields[name] in unused:
                absent[name] = f"{column} is in unused_col."
            elif column in (config["numerical_features"] or ()):
                absent[name] = f"{column} is in numerical_features, which has its own form."
            elif name == "behavior" and self.field2type[column] not in (FeatureType.TOKEN, FeatureType.TOKEN_SEQ):
                absent[name] = f"{column} is a column of {self.field2type[column].value}, and behaviours are tokens."
            elif name == "rating" and self.field2type[column] not in (FeatureType.FLOAT, FeatureType.FLOAT_SEQ):
                absent[name] = f"{column} is a column of {self.field2type[column].value}, and ratings are numbers."
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

    def _normalize(self) -> None:
        rating = self.config["RATING_FIELD"]
        named = self.config["normalize_field"] or []
        if rating in self.inter_feat and (self.config["normalize_all"] or rating in named):
            column = self.inter_feat[rating]
            if self.field2type[rating] == FeatureType.FLOAT:
                self.rating_range = float(column.min()), float(column.max())
        super()._normalize()

    def _discretization(self) -> None:
        super()._discretization()
        rating = self.config["RATING_FIELD"]
        lists = rating in (self.config["numerical_features"] or ())  # what RecBole has made of it
        if self._missing_rating is not None and rating in self.inter_feat and not lists:  # normalising cannot take NaN
            self.inter_feat.loc[self._missing_rating, rating] = np.nan

    def _derived_log_fields(self, first: np.ndarray) -> dict[str, Tensor]:
        gap = np.maximum(np.diff(self._exact_time, prepend=0.0), 0)  # in RecBole's order, near times may be reversed
        gap[first] = -1.0  # no event before
        return {self.side_fields["time"]: torch.from_numpy(gap.astype(np.float32))}

    def build(self) -> list["LongInterestDataset"]:
        """Split as RecBole does; training rows keep the window, evaluation rows get ``eval_history_length``."""
        train, *held_out = parts = super().build()
        self.rating_range = self.normalized_ranges.get(self.config["RATING_FIELD"], self.rating_range)
        self._forget_unseen_behaviors(parts)
        for phase, part in zip(("valid", "test"), held_out, strict=True):
            part.history_limit = self.config["eval_history_length"]
            if self.config["eval_args"]["mode"][phase] != "full" and isinstance(part.inter_feat, LogRows):
                # RecBole puts the candidates of several users together and wants them of one width.
                part.history_limit = max(part.padded_lengths().tolist(), default=1)
                part.pads_to_limit = True
        return [train, *held_out]

    @property
    def behavior_tokens_field(self) -> str:
        """Field whose tokens the behaviours' ids stand for: benchmark files may have one of the histories' alone."""
        return self.side_fields["behavior"] if self.benchmark_filename_list else str(self.config["BEHAVIOR_FIELD"])

    def _forget_unseen_behaviors(self, parts: Sequence["LongInterestDataset"]) -> None:
        """Behaviours that training never shows get the unknown level, 0, not an embedding that nothing has trained."""
        field, train = self.side_fields["behavior"], parts[0]
        if not self.features.behavior or not isinstance(train.inter_feat, LogRows):
            return
        behaviors = train.event_log[field].long()
        seen = torch.zeros(self.num(self.behavior_tokens_field), dtype=torch.bool)
        seen[behaviors[seen_in_training(train.inter_feat, len(behaviors), with_targets=False)]] = True
        self.unseen_behaviors = (~seen).nonzero().flatten()
        if not seen[behaviors].all():
            known = torch.where(seen[behaviors], behaviors, 0).to(train.event_log[field].dtype)
            for part in parts:
                part.event_log = {**part.event_log, field: known}

    def training_rating_values(self) -> Tensor:
        """Levels of the rating scale: ``rating_levels``, else from the events that the training rows show."""
        levels = self.config["rating_levels"]
        if levels is not None:
            if not isinstance(levels, list) or not levels or not all(map(_is_number, levels)):
                raise LongInterestError(
                    f"rating_levels must be a list of numbers, or empty to find them; got {levels!r}."
                )
            return torch.unique(torch.tensor(levels, dtype=torch.float32))  # in their order
        field = self.side_fields["rating"]
        if not isinstance(self.inter_feat, LogRows):
            return rating_values(self.inter_feat[field].flatten())
        ratings = self.event_log[field]
        return rating_values(ratings[seen_in_training(self.inter_feat, len(ratings), with_targets=False)])


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))
