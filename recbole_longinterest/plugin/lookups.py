"""Register models, data sets, trainers and settings where RecBole's own look-ups find them.

Where RecBole has no look-up, it is patched, see `plugin.fixes`.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType

from recbole_longinterest.plugin.models import DATASETS, MODEL, PLUGIN, find_model

SEQUENTIAL = "recbole.model.sequential_recommender"

# Keys of the plugin that change the content of a data set: a saved one is reused only if all of them are equal.
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
    "text_numbers",
    "text_encoder",
    "text_vectors",
    "text_pooling",
    "text_max_length",
    "text_prompt",
    "text_precision",
    "text_chunks",
    "text_backend",
    "text_dim",
    "text_features",
    "id_features",
    "rating_features",
    "rating_levels",
    "behavior_features",
    "time_features",
    "request_time",
    "event_features",
    "user_features",
    "source_levels",
    "item_sources",
    "eval_history_length",
)


def place_model(name: str = MODEL) -> bool:
    """Put a model's module into ``sys.modules`` where RecBole's ``get_model`` looks for it.

    Args:
        name: name of a model in `plugin.models`, ignoring case.

    Returns:
        Whether the model is known.
    """
    model = find_model(name)
    if model is None:
        return False
    place = f"{SEQUENTIAL}.{model.name.lower()}"
    kind = model.load()
    module = sys.modules[kind.__module__]
    if getattr(module, model.name, None) is not kind or module.__spec__ is None:
        module = ModuleType(place)
        module.__spec__ = ModuleSpec(place, None)
        setattr(module, model.name, kind)
    sys.modules[place] = module
    return True


_kin = {MODEL}


def is_kin(model: type, name: str | None = None) -> bool:
    """Whether a class is LongInterest or derives from it. If so, RecBole finds data set and trainer for its name.

    Args:
        model: class of a RecBole model.
        name: RecBole's name of the model; the class's name if None.
    """
    found = any(base.__name__ == MODEL and base.__module__ == f"{PLUGIN}.longinterest" for base in model.__mro__)
    if found:
        _kin.add(name or model.__name__)
    return found


def _on_demand(kind: str, module: str, others: Mapping[str, str]) -> Callable[[ModuleType], None]:
    """Add attributes ``<model><kind>`` to a package of RecBole, imported at first use.

    Args:
        kind: ``Dataset`` or ``Trainer``.
        module: module of LongInterest's class.
        others: name of a baseline -> module of its class.
    """

    def add(package: ModuleType) -> None:
        def __getattr__(attribute: str) -> object:
            name = attribute.removesuffix(kind)
            if attribute == name or name not in {*_kin, *others}:
                raise AttributeError(f"module {package.__name__!r} has no attribute {attribute!r}")
            place, name = (module, MODEL) if name in _kin else (others[name], name)
            value = getattr(importlib.import_module(place), f"{name}{kind}")
            setattr(package, attribute, value)
            return value

        package.__getattr__ = __getattr__  # type: ignore[method-assign]

    return add


def _data_keys(module: ModuleType) -> None:
    module.dataset_arguments.extend(key for key in DATA_KEYS if key not in module.dataset_arguments)


LOOKUPS: dict[str, Callable[[ModuleType], object]] = {
    "recbole.utils.argument_list": _data_keys,
    "recbole.data.dataset": _on_demand("Dataset", "recbole_longinterest.data.longinterest_dataset", DATASETS),
    "recbole.trainer": _on_demand("Trainer", f"{PLUGIN}.trainer", {}),
    SEQUENTIAL: lambda _: place_model(),
}
"""RecBole module -> function that adds the plugin to it after its import."""
