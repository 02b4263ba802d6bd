"""The LongInterest plugin for RecBole. Importing it registers its models and lets RecBole run on current packages.

import recbole_longinterest
from recbole.quick_start import run_recbole

run_recbole(model="LongInterest", dataset="ml-100k")

The names below are imported on first use, so a process that only serves a model does not import RecBole.
"""

import importlib
from typing import TYPE_CHECKING

from recbole_longinterest.plugin.fixes.hooks import install

if TYPE_CHECKING:
    from recbole_longinterest.common.errors import LongInterestError
    from recbole_longinterest.common.version import __version__
    from recbole_longinterest.experiments.comparison.compare import compare
    from recbole_longinterest.experiments.comparison.export_split import export_split
    from recbole_longinterest.experiments.tuning.tune import tune
    from recbole_longinterest.plugin.register import register
    from recbole_longinterest.prepare.prepare_data import prepare_data
    from recbole_longinterest.serving.events import Event
    from recbole_longinterest.serving.hub import push_to_hub
    from recbole_longinterest.serving.recommender import Recommender
    from recbole_longinterest.serving.results import Explanation, Recommendation
    from recbole_longinterest.serving.state import InterestState
    from recbole_longinterest.training.encode import encode_items
    from recbole_longinterest.training.export import export_checkpoint
    from recbole_longinterest.training.forget.forget import forget_users
    from recbole_longinterest.training.pipeline import run, train
    from recbole_longinterest.training.settings import make_config
    from recbole_longinterest.training.update.update import update_checkpoint

# The module of each of these names.
_MODULES = {
    "Event": "serving.events",
    "Explanation": "serving.results",
    "InterestState": "serving.state",
    "LongInterestError": "common.errors",
    "Recommendation": "serving.results",
    "Recommender": "serving.recommender",
    "__version__": "common.version",
    "compare": "experiments.comparison.compare",
    "encode_items": "training.encode",
    "export_checkpoint": "training.export",
    "export_split": "experiments.comparison.export_split",
    "forget_users": "training.forget.forget",
    "make_config": "training.settings",
    "prepare_data": "prepare.prepare_data",
    "push_to_hub": "serving.hub",
    "register": "plugin.register",
    "run": "training.pipeline",
    "train": "training.pipeline",
    "tune": "experiments.tuning.tune",
    "update_checkpoint": "training.update.update",
}

__all__ = [
    "Event",
    "Explanation",
    "InterestState",
    "LongInterestError",
    "Recommendation",
    "Recommender",
    "__version__",
    "compare",
    "encode_items",
    "export_checkpoint",
    "export_split",
    "forget_users",
    "make_config",
    "prepare_data",
    "push_to_hub",
    "register",
    "run",
    "train",
    "tune",
    "update_checkpoint",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names and the names that are already loaded."""
    return sorted({*globals(), *__all__})


install()
