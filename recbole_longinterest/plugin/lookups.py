"""How RecBole finds the model, its data set, its trainer and its settings, by RecBole's own lookups.

What has no lookup is patched, see `plugin.fixes`.
"""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType

MODEL = "LongInterest"
PLUGIN = "recbole_longinterest.plugin"
SEQUENTIAL = "recbole.model.sequential_recommender"

# Keys of ours that change what a data set holds: a saved data set made with other values is not reused.
DATA_KEYS = (
    "exact_order",
    "tie_order",
    "tie_seed",
    "split_by_time",
    "split_targets",
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


def place_model(_: ModuleType | None = None) -> None:
    """Put the model where ``get_model`` looks for it: its find_spec finds what stands in sys.modules."""
    name = f"{SEQUENTIAL}.{MODEL.lower()}"
    sys.modules[name] = importlib.import_module(f"{PLUGIN}.longinterest")


_kin = {MODEL}


def is_kin(model: type, name: str | None = None) -> bool:
    """Whether a class is LongInterest or derives from it; from then on RecBole finds data set and trainer by its name.

    Args:
        model: class of a model of RecBole.
        name: by which RecBole knows it; its own if None.
    """
    found = any(base.__name__ == MODEL and base.__module__ == f"{PLUGIN}.longinterest" for base in model.__mro__)
    if found:
        _kin.add(name or model.__name__)
    return found


def _on_demand(kind: str, module: str) -> Callable[[ModuleType], None]:
    """The attribute ``<model><kind>`` of a package of RecBole's, imported when it is asked for."""

    def add(package: ModuleType) -> None:
        def __getattr__(attribute: str) -> object:
            if attribute not in {f"{name}{kind}" for name in _kin}:
                raise AttributeError(f"module {package.__name__!r} has no attribute {attribute!r}")
            value = getattr(importlib.import_module(module), f"{MODEL}{kind}")
            setattr(package, attribute, value)
            return value

        package.__getattr__ = __getattr__  # type: ignore[method-assign]

    return add


def _data_keys(module: ModuleType) -> None:
    module.dataset_arguments.extend(key for key in DATA_KEYS if key not in module.dataset_arguments)


LOOKUPS: dict[str, Callable[[ModuleType], None]] = {
    "recbole.utils.argument_list": _data_keys,
    "recbole.data.dataset": _on_demand("Dataset", "recbole_longinterest.data.longinterest_dataset"),
    "recbole.trainer": _on_demand("Trainer", f"{PLUGIN}.trainer"),
    SEQUENTIAL: place_model,
}
"""Module of RecBole -> what adds the plugin to it after its import."""
