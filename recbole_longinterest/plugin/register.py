"""How RecBole finds the model, its data set, its trainer, its loader and its yaml files.

RecBole's own lookups by name are used where they exist; where none exists one attribute is replaced. ARCHITECTURE.md
lists every replaced attribute.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import recbole.config.configurator as configurator
import recbole.data.dataset
import recbole.data.utils
import recbole.trainer
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.utils import ModelType
from recbole.utils.argument_list import dataset_arguments

from recbole_longinterest.common.resources import prepared_settings, resource
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data import eval_loader, longinterest_dataset, train_loader
from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.data.source_fields import columns_of
from recbole_longinterest.nn.losses import LOSSES
from recbole_longinterest.plugin import longinterest
from recbole_longinterest.plugin.fixes import environment
from recbole_longinterest.plugin.runs import dataset_cache
from recbole_longinterest.plugin.trainer import LongInterestTrainer, train_on_windows

MODEL = "LongInterest"

# Keys of ours that change what a data set holds: a saved data set made with other values is not reused.
DATA_KEYS = (
    "exact_order",
    "BEHAVIOR_FIELD",
    "behavior_map",
    "target_behavior",
    "text_fields",
    "text_template",
    "text_encoder",
    "text_vectors",
    "text_pooling",
    "text_max_length",
    "text_prompt",
    "text_precision",
    "text_dim",
    "text_features",
    "id_features",
    "rating_features",
    "rating_levels",
    "behavior_features",
    "time_features",
    "event_features",
    "user_features",
    "source_levels",
    "item_sources",
    "eval_history_length",
)

FIELD_KEYS = ("USER_ID_FIELD", "ITEM_ID_FIELD", "RATING_FIELD", "TIME_FIELD", "BEHAVIOR_FIELD")

_follow_loss_type: ContextVar[bool] = ContextVar("follow_loss_type", default=False)


def register() -> None:
    """Make RecBole know LongInterest and run on this stack. Safe to call again, and in every process."""
    environment.apply()
    # get_model looks for a module of this name; find_spec finds what stands in sys.modules.
    sys.modules[f"recbole.model.sequential_recommender.{MODEL.lower()}"] = longinterest
    recbole.data.dataset.LongInterestDataset = longinterest_dataset.LongInterestDataset
    recbole.trainer.LongInterestTrainer = LongInterestTrainer
    dataset_arguments.extend(key for key in DATA_KEYS if key not in dataset_arguments)
    _replace(configurator.Config, "_load_internal_config_dict", _load_internal_config_dict)
    _replace(recbole.data.utils, "get_dataloader", _get_dataloader)
    _replace(recbole.trainer.Trainer, "_train_epoch", train_on_windows)


@contextmanager
def negatives_follow_loss_type() -> Iterator[None]:
    """Inside, every model's ``train_neg_sample_args`` follows its ``loss_type`` unless set, as LongInterest's does.

    RecBole asks for ``train_neg_sample_args: ~`` beside ``loss_type: CE`` and refuses its own default.
    """
    token = _follow_loss_type.set(True)
    try:
        yield
    finally:
        _follow_loss_type.reset(token)


def _replace(owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:  # noqa: ANN401
    original = getattr(owner, name)
    if getattr(original, "registered_by", None) == __name__:
        return
    replacement = make(original)
    replacement.registered_by = __name__  # type: ignore[attr-defined]
    setattr(owner, name, replacement)


def _load_internal_config_dict(original: Callable[..., None]) -> Callable[..., None]:
    """RecBole looks for yaml files in its own folders only: add the plugin's, under the user's settings."""

    def load(self: Any, model: str, model_class: type, dataset: str) -> None:  # noqa: ANN401
        original(self, model, model_class, dataset)
        internal, external = self.internal_config_dict, self.external_config_dict
        beside = prepared_settings(external.get("data_path", internal.get("data_path")), dataset)
        if model == MODEL:
            # After RecBole's files, whose general data defaults would overwrite a model's window and fields.
            self._update_internal_config_dict(resource("properties", f"{MODEL}.yaml"))
            own = {internal[key]: external[key] for key in FIELD_KEYS if isinstance(external.get(key), str)}
            columns = [own.get(name, name) for name in internal["load_col"]["inter"]]
            wanted = {**internal, **external}.get("event_features")
            more = columns_of({"event_features": wanted}, "event_features")
            internal["load_col"] = {"inter": list(dict.fromkeys((*columns, *more)))}
            ours = resource("dataset_configs", f"{dataset}.yaml")
            if ours.is_file() and beside is None:  # ours is for RecBole's files of that name, which these are not
                self._update_internal_config_dict(ours)
        sequential = getattr(model_class, "type", None) == ModelType.SEQUENTIAL
        if sequential and model != MODEL:
            # RecBole's columns of a data set that it does not know are user and item, and a history needs an order.
            columns, time = internal["load_col"]["inter"], external.get("TIME_FIELD", internal["TIME_FIELD"])
            internal["load_col"] = {**internal["load_col"], "inter": list(dict.fromkeys((*columns, time)))}
        if beside is not None:
            self._update_internal_config_dict(beside)
        follows = model == MODEL or (_follow_loss_type.get() and sequential)
        if follows and "train_neg_sample_args" not in external:
            loss_type = external.get("loss_type", internal.get("loss_type"))
            if loss_type == "CE" or (model == MODEL and loss_type in LOSSES and not LOSSES.get(loss_type).negatives):
                internal["train_neg_sample_args"] = None

    return load


def _get_dataloader(original: Callable[..., type]) -> Callable[..., type]:
    """RecBole's table of loaders is local to the function: add the one-pass loader."""

    def get(config: Settings, phase: str) -> type:
        sequential = config["MODEL_TYPE"] == ModelType.SEQUENTIAL
        if (
            phase == "train"
            and sequential
            and train_loader.trains_in_one_pass(config, required=config["model"] != MODEL)
        ):
            return train_loader.OnePassDataLoader
        kind = original(config, phase)
        flat = sequential and issubclass(dataset_cache.dataset_class(config), FlatSequentialDataset)
        if kind is FullSortEvalDataLoader and flat:
            return eval_loader.BoundedEvalDataLoader
        return kind

    return get
