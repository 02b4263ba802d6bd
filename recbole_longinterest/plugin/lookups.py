"""How RecBole finds the model, its data set, its trainer and its settings, by RecBole's own lookups.

What has no lookup is patched, see `plugin.fixes`.
"""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType

MODEL = "LongInterest"
SEQUENTIAL = "recbole.model.sequential_recommender"

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


def place_model(_: ModuleType | None = None) -> None:
    """Put the model where ``get_model`` looks for it: its find_spec finds what stands in sys.modules."""
    name = f"{SEQUENTIAL}.{MODEL.lower()}"
    sys.modules[name] = importlib.import_module("recbole_longinterest.plugin.longinterest")


def _on_demand(name: str, module: str) -> Callable[[ModuleType], None]:
    """An attribute of a package of RecBole's that is imported when it is asked for."""

    def add(package: ModuleType) -> None:
        def __getattr__(attribute: str) -> object:
            if attribute != name:
                raise AttributeError(f"module {package.__name__!r} has no attribute {attribute!r}")
            value = getattr(importlib.import_module(module), name)
            setattr(package, name, value)
            return value

        package.__getattr__ = __getattr__  # type: ignore[method-assign]

    return add


def _data_keys(module: ModuleType) -> None:
    module.dataset_arguments.extend(key for key in DATA_KEYS if key not in module.dataset_arguments)


LOOKUPS: dict[str, Callable[[ModuleType], None]] = {
    "recbole.utils.argument_list": _data_keys,
    "recbole.data.dataset": _on_demand(f"{MODEL}Dataset", "recbole_longinterest.data.longinterest_dataset"),
    "recbole.trainer": _on_demand(f"{MODEL}Trainer", "recbole_longinterest.plugin.trainer"),
    SEQUENTIAL: place_model,
}
"""Module of RecBole -> what adds the plugin to it after its import."""
