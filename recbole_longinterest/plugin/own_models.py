"""Models of a user's own, ``my_module:MyModel``: named where a run is started, never by a file.

A checkpoint or a yaml file keeps the name of the class and of its module as text, from which nothing is imported.
"""

import difflib
import importlib
import inspect
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.plugin.models import KnownModel, add_model, find_model, known_models

if TYPE_CHECKING:
    from recbole.config.configurator import Config

SPEC = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")
MODULE = "model_module"
"""Setting in which a run keeps the module of such a model, for the error when it goes on without it."""


def is_own(model: str) -> bool:
    """Whether a model is given as ``module:Class`` rather than by name."""
    return ":" in model


def search_folder(folder: Path) -> None:
    """Let modules of a folder be imported, after all that is installed: no file in it hides an installed module."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def model_name(model: str) -> str:
    """RecBole's name of a model, which is made known if it is given as ``module:Class``. That runs the module's code.

    Args:
        model: what the caller named; never what a file says.

    Raises:
        LongInterestError: for a module or class that is not there or is no model, and for a name that is taken.
    """
    if not is_own(model):
        return model
    match = SPEC.fullmatch(model)
    if match is None:
        raise LongInterestError(f"A model of your own is named module:Class, as my_module:MyModel; got {model!r}.")
    module, name = match.groups()
    known = known_models().get(name)
    if known is None or known.module != module:
        _check_class(module, name)
        _check_name(module, name)
        add_model(KnownModel(name, module, name, own=True))
    return name


def _check_class(module: str, name: str) -> None:
    from recbole.model.abstract_recommender import AbstractRecommender  # saves start-up time

    try:
        imported = importlib.import_module(module)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}.")
        if missing:
            raise LongInterestError(
                f"There is no module {module} for the model {module}:{name}. It must be installed, or stand in the "
                "working folder of recbole-li."
            ) from error
        reason = " ".join(str(error).split())
        raise LongInterestError(
            f"The module {module} cannot be imported: {type(error).__name__}: {reason}. Mend it, and run again."
        ) from error
    found = getattr(imported, name, None)
    if not inspect.isclass(found):
        classes = [other for other, value in vars(imported).items() if inspect.isclass(value)]
        hint = " or ".join(difflib.get_close_matches(name, classes)) or "the name of a class in it"
        raise LongInterestError(f"{getattr(imported, '__file__', module)} has no class {name}. Give {hint}.")
    if not issubclass(found, AbstractRecommender):
        raise LongInterestError(
            f"{module}:{name} is no model of RecBole's kind. Derive it from SequentialRecommender or another class of "
            "recbole.model.abstract_recommender."
        )


def _check_name(module: str, name: str) -> None:
    from recbole.utils import get_model  # saves start-up time

    known = find_model(name)
    if known is not None:
        raise LongInterestError(f"{module}:{name} has the name of {known.module}:{known.attribute}. Rename the class.")
    try:
        get_model(name)
    except (LongInterestError, ImportError):
        return
    raise LongInterestError(f"{module}:{name} has the name of a model of RecBole. Rename the class.")


def folder_of(model: str) -> Path | None:
    """The folder from which another process imports a model of one's own; None for other models.

    Args:
        model: as given to :func:`model_name`, which has run.
    """
    if not is_own(model):
        return None
    top = sys.modules[model.partition(":")[0].partition(".")[0]]
    is_package = hasattr(top, "__path__")
    return Path(next(iter(top.__path__)) if is_package else inspect.getfile(top)).resolve().parent


def check_known(config: "Config", path: str | os.PathLike[str]) -> None:
    """Refuse a config from a file whose model is a user's own and was not named in this process.

    Args:
        config: from the file, which imports nothing.
        path: the file, for the error.

    Raises:
        LongInterestError: says which model to name.
    """
    model = f"{config.final_config_dict.get(MODULE)}:{config.final_config_dict.get('model')}"
    match = SPEC.fullmatch(model)
    if config.final_config_dict.get(MODULE) and match and find_model(match[2]) is None:
        raise LongInterestError(
            f"{path} is of {match[2]} in the module {match[1]}, a model of your own. A file does not choose the code "
            f"that is run: name it yourself, as --model {model}."
        )
