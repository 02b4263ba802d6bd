"""Add the plugin's yaml files to RecBole's Config; user settings override them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from recbole.utils import InputType, ModelType

from recbole_longinterest.common.resources import prepared_settings, resource
from recbole_longinterest.data.source_fields import columns_of
from recbole_longinterest.nn.losses import LOSSES
from recbole_longinterest.plugin import own_models
from recbole_longinterest.plugin.fixes.command_line import is_given
from recbole_longinterest.plugin.fixes.registry import patch
from recbole_longinterest.plugin.known_keys import check_keys
from recbole_longinterest.plugin.lookups import MODEL, is_kin
from recbole_longinterest.plugin.models import defaults_of, is_baseline, known_models

if TYPE_CHECKING:
    from recbole.config.configurator import Config

FIELD_KEYS = ("USER_ID_FIELD", "ITEM_ID_FIELD", "RATING_FIELD", "TIME_FIELD", "BEHAVIOR_FIELD")
# RecBole's settings for these sequential models lack the order by time that its others have, so training fails.
WITHOUT_ORDER = ("GRU4RecKG", "KSR")
IN_ORDER = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"}

_follow_loss_type: ContextVar[bool] = ContextVar("follow_loss_type", default=False)


@contextmanager
def negatives_follow_loss_type() -> Iterator[None]:
    """Derive every model's ``train_neg_sample_args`` from its ``loss_type`` unless set, as always for LongInterest.

    With ``loss_type: CE``, RecBole requires ``train_neg_sample_args: ~`` and rejects its own default.
    """
    token = _follow_loss_type.set(True)
    try:
        yield
    finally:
        _follow_loss_type.reset(token)


def _draws_negatives(loss_type: object) -> bool:
    """Whether a loss of LongInterest needs negative items; ignores case. Unknown losses raise an error later."""
    return any(LOSSES.get(name).negatives for name in LOSSES if name.lower() == str(loss_type).lower())


@patch(
    "recbole.config.configurator:Config._load_internal_config_dict",
    kind="feature",
    why="RecBole looks for yaml files only in its own folders. It loads data sets that it does not know without "
    "times, so sequential models fail.",
    wraps=True,
)
def settings_files(original: Callable[..., None]) -> Callable[..., None]:
    """Add the plugin's yaml files; user settings override them."""

    def load(self: "Config", model: str, model_class: type, dataset: str) -> None:
        original(self, model, model_class, dataset)
        internal, external = self.internal_config_dict, self.external_config_dict
        beside = prepared_settings(external.get("data_path", internal.get("data_path")), dataset)
        ours = is_kin(model_class, model)
        # After RecBole's files, because their general data defaults would overwrite a model's window and fields.
        if ours:
            self._update_internal_config_dict(resource("properties", f"{MODEL}.yaml"))
        for file in defaults_of(model_class, model):
            self._update_internal_config_dict(file)
        if ours:
            own = {internal[key]: external[key] for key in FIELD_KEYS if isinstance(external.get(key), str)}
            columns = [own.get(name, name) for name in internal["load_col"]["inter"]]
            wanted = {**internal, **external}.get("event_features")
            more = columns_of({"event_features": wanted}, "event_features")
            internal["load_col"] = {"inter": list(dict.fromkeys((*columns, *more)))}
            about = resource("dataset_configs", f"{dataset}.yaml")
            if about.is_file() and beside is None:  # it describes RecBole's data set of that name, not this one
                self._update_internal_config_dict(about)
            pairs = _draws_negatives(external.get("loss_type", internal["loss_type"]))  # RecBole knows only CE and BPR
            internal["MODEL_INPUT_TYPE"] = InputType.PAIRWISE if pairs else InputType.POINTWISE
        sequential = getattr(model_class, "type", None) == ModelType.SEQUENTIAL
        if sequential and not ours:
            # RecBole loads only user and item of an unknown data set, but histories are ordered by time.
            columns, time = internal["load_col"]["inter"], external.get("TIME_FIELD", internal["TIME_FIELD"])
            internal["load_col"] = {**internal["load_col"], "inter": list(dict.fromkeys((*columns, time)))}
        if model in WITHOUT_ORDER and internal["eval_args"]["order"] != IN_ORDER["order"]:
            internal["eval_args"] = dict(IN_ORDER)
        if beside is not None:
            self._update_internal_config_dict(beside)
        known = known_models().get(model)  # get_model has registered it by now
        if known and known.own:
            internal[own_models.MODULE] = known.module
        follows = ours or (_follow_loss_type.get() and sequential)
        if is_baseline(model_class) and not ours and "train_neg_sample_args" not in external:
            internal["train_neg_sample_args"] = None  # their losses draw the negatives
        elif follows and "train_neg_sample_args" not in external:
            loss_type = external.get("loss_type", internal.get("loss_type"))
            if not (_draws_negatives(loss_type) if ours else loss_type != "CE"):
                internal["train_neg_sample_args"] = None
        check_keys(self, ours=is_given())

    return load
