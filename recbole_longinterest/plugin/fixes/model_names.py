"""Model classes by name, with an error that a user can act on."""

import difflib
import pkgutil
import sys
from pathlib import Path

import recbole.model
import recbole.utils

from recbole_longinterest.common import packages
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.plugin.fixes.hooks import QUICK_START, rebind

MODEL_PACKAGES = ("general", "context_aware", "sequential", "knowledge_aware", "exlib")


def model_names() -> None:
    """``get_model`` ends an unknown name in "No module named 'lightgbm'", on every version (#2172).

    It tries RecBole's packages in turn, and importing the last one needs lightgbm and xgboost.
    """
    original = recbole.utils.get_model

    def get_model(model_name: str) -> type:
        """Model class of this name; ValueError with the close names if there is none."""
        known = _known_models()
        right = known.get(model_name.lower())
        if right is not None:
            if model_name in packages.MODEL_PACKAGES:
                packages.require(packages.MODEL_PACKAGES[model_name], model_name)
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
        close = [right] if right else [known[n] for n in difflib.get_close_matches(model_name.lower(), known, n=3)]
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise LongInterestError(f"There is no model {model_name!r}, neither in RecBole nor in a plugin.{hint}")

    rebind(
        "get_model", get_model, "recbole.utils", "recbole.utils.utils", "recbole.config.configurator", QUICK_START[1]
    )


def _known_models() -> dict[str, str]:
    """Lower-case name -> right name of every model, without importing any."""
    settings = Path(recbole.__file__).parent / "properties" / "model"
    spelled = {file.stem.lower(): file.stem for file in settings.glob("*.yaml")}
    spelled |= {"lightgbm": "LightGBM", "xgboost": "XGBoost"}  # their yaml files are in lower case
    folders = [str(Path(recbole.model.__path__[0]) / f"{kind}_recommender") for kind in MODEL_PACKAGES]
    names = [module.name for module in pkgutil.iter_modules(folders)]
    for kind in MODEL_PACKAGES:
        prefix = f"recbole.model.{kind}_recommender."
        names += [name.removeprefix(prefix) for name in list(sys.modules) if name.startswith(prefix)]
    return {name: spelled.get(name) or _spelling(name) or name for name in names}


def _spelling(lower: str) -> str | None:
    """Name of the class that an imported model module holds."""
    for kind in MODEL_PACKAGES:
        module = sys.modules.get(f"recbole.model.{kind}_recommender.{lower}")
        for name, value in vars(module).items() if module else ():
            if name.lower() == lower and isinstance(value, type):
                return name
    return None
