"""Model classes by name, with an error that a user can act on."""

import difflib
import importlib
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path

import recbole.model

from recbole_longinterest.common import packages
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.plugin import own_models
from recbole_longinterest.plugin.fixes.registry import patch
from recbole_longinterest.plugin.lookups import SEQUENTIAL, place_model
from recbole_longinterest.plugin.models import find_model, known_models

MODEL_PACKAGES = ("general", "context_aware", "sequential", "knowledge_aware", "exlib")


@patch(
    "recbole.utils.utils:get_model",
    kind="fix",
    issue=2172,
    why="An unknown name ends in \"No module named 'lightgbm'\": the last package that it tries needs lightgbm.",
    wraps=True,
)
def model_names(original: Callable[[str], type]) -> Callable[[str], type]:
    """Say what an unknown name is close to, and which package a model needs."""

    def get_model(model_name: str) -> type:
        """Model class of this name; ValueError with the close names if there is none."""
        known = _known_models()
        if model_name.lower() not in known and find_model(model_name) is not None:  # of an installed package
            known = _known_models()
        right = known.get(model_name.lower())
        if right is not None:
            if model_name in packages.MODEL_PACKAGES:
                packages.require(packages.MODEL_PACKAGES[model_name], model_name)
            if right in known_models():
                importlib.import_module(SEQUENTIAL)  # find_spec alone would not see it
                place_model(right)
            try:
                return original(model_name)
            except ModuleNotFoundError as error:
                if not error.name or error.name.startswith("recbole"):
                    raise
                packages.require(error.name, model_name)
                raise
            except AttributeError:
                right = _spelling(model_name.lower()) or right
                if right == model_name:
                    raise
        if own_models.is_own(model_name):
            raise LongInterestError(
                f"A model of your own, as {model_name}, is named where the run is started, and in no file: "
                f"--model {model_name}, or model={model_name!r} in Python."
            )
        close = [right] if right else [known[n] for n in difflib.get_close_matches(model_name.lower(), known, n=3)]
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise LongInterestError(f"There is no model {model_name!r}, neither in RecBole nor in a plugin.{hint}")

    return get_model


def _known_models() -> dict[str, str]:
    """Lower-case name -> right name of every model, without importing any."""
    settings = Path(recbole.__file__).parent / "properties" / "model"
    spelled = {file.stem.lower(): file.stem for file in settings.glob("*.yaml")}
    spelled |= {"lightgbm": "LightGBM", "xgboost": "XGBoost"}  # their yaml files are in lower case
    ours = {name.lower(): name for name in known_models()}
    spelled |= ours
    folders = [str(Path(recbole.model.__path__[0]) / f"{kind}_recommender") for kind in MODEL_PACKAGES]
    names = [module.name for module in pkgutil.iter_modules(folders)]
    for kind in MODEL_PACKAGES:
        prefix = f"recbole.model.{kind}_recommender."
        names += [name.removeprefix(prefix) for name in list(sys.modules) if name.startswith(prefix)]
    return {name: spelled.get(name) or _spelling(name) or name for name in (*ours, *names)}


def _spelling(lower: str) -> str | None:
    """Name of the class that an imported model module holds."""
    for kind in MODEL_PACKAGES:
        module = sys.modules.get(f"recbole.model.{kind}_recommender.{lower}")
        for name, value in vars(module).items() if module else ():
            if name.lower() == lower and isinstance(value, type):
                return name
    return None
