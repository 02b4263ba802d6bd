"""A patch of RecBole's model look-up that gives helpful errors for unknown names and missing packages."""

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
    why="An unknown name fails with \"No module named 'lightgbm'\", because the last package that RecBole searches "
    "imports lightgbm.",
    wraps=True,
)
def model_names(original: Callable[[str], type]) -> Callable[[str], type]:
    """Suggest similar names for an unknown model, and name the package that a model needs."""

    def get_model(model_name: str) -> type:
        """Look up a model class by its name; raises ValueError with similar names if it is unknown."""
        known = _known_models()
        if model_name.lower() not in known and find_model(model_name) is not None:  # from an installed package
            known = _known_models()
        right = known.get(model_name.lower())
        if right is not None:
            if model_name in packages.MODEL_PACKAGES:
                packages.require(packages.MODEL_PACKAGES[model_name], model_name)
            if right in known_models():
                importlib.import_module(SEQUENTIAL)  # find_spec does not find the model before this import
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
                f"A file cannot name a model of your own, such as {model_name}. Name it where you start the run: "
                f"--model {model_name}, or model={model_name!r} in Python."
            )
        close = [right] if right else [known[n] for n in difflib.get_close_matches(model_name.lower(), known, n=3)]
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise LongInterestError(f"There is no model {model_name!r}, neither in RecBole nor in a plugin.{hint}")

    return get_model


def _known_models() -> dict[str, str]:
    """Lower-case name -> correct name of every model, without importing them."""
    settings = Path(recbole.__file__).parent / "properties" / "model"
    spelled = {file.stem.lower(): file.stem for file in settings.glob("*.yaml")}
    spelled |= {"lightgbm": "LightGBM", "xgboost": "XGBoost"}  # their yaml files have lower-case names
    ours = {name.lower(): name for name in known_models()}
    spelled |= ours
    folders = [str(Path(recbole.model.__path__[0]) / f"{kind}_recommender") for kind in MODEL_PACKAGES]
    names = [module.name for module in pkgutil.iter_modules(folders)]
    for kind in MODEL_PACKAGES:
        prefix = f"recbole.model.{kind}_recommender."
        names += [name.removeprefix(prefix) for name in list(sys.modules) if name.startswith(prefix)]
    return {name: spelled.get(name) or _spelling(name) or name for name in (*ours, *names)}


def _spelling(lower: str) -> str | None:
    """Name of the model class in an imported module; None if the module is not imported."""
    for kind in MODEL_PACKAGES:
        module = sys.modules.get(f"recbole.model.{kind}_recommender.{lower}")
        for name, value in vars(module).items() if module else ():
            if name.lower() == lower and isinstance(value, type):
                return name
    return None
