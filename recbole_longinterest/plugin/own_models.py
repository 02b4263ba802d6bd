"""A user's own models, ``my_module:MyModel``, named on the command line or in Python, never in a file.

Checkpoints and yaml files keep the names of the class and its module as text, but nothing is imported from them.
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
"""Setting with the module of such a model, for the error if a run resumes without naming the model."""


def is_own(model: str) -> bool:
    """Whether a model is given as ``module:Class``."""
    return ":" in model


def search_folder(folder: Path) -> None:
    """Add a folder at the end of ``sys.path``, so that its files cannot hide installed modules."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def model_name(model: str) -> str:
    """Get RecBole's name of a model. A model ``module:Class`` is registered first, which runs the module's code.

    Args:
        model: the caller's name of the model; never a name from a file.

    Raises:
        LongInterestError: if the module or class does not exist, the class is not a model, or its name is taken.
    """
    if not is_own(model):
        return model
    match = SPEC.fullmatch(model)
    if match is None:
        raise LongInterestError(f"Name a model of your own as module:Class, such as my_module:MyModel; got {model!r}.")
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
                f"There is no module {module} for the model {module}:{name}. It must be installed, or be in the "
                "working folder of recbole-li."
            ) from error
        reason = " ".join(str(error).split())
        raise LongInterestError(
            f"The module {module} cannot be imported: {type(error).__name__}: {reason}. Fix it and run again."
        ) from error
    found = getattr(imported, name, None)
    if not inspect.isclass(found):
        classes = [other for other, value in vars(imported).items() if inspect.isclass(value)]
        hint = " or ".join(difflib.get_close_matches(name, classes)) or "the name of a class in it"
        raise LongInterestError(f"{getattr(imported, '__file__', module)} has no class {name}. Give {hint}.")
    if not issubclass(found, AbstractRecommender):
        raise LongInterestError(
            f"{module}:{name} is not a RecBole model. Derive it from SequentialRecommender or another class of "
            "recbole.model.abstract_recommender."
        )


def _check_name(module: str, name: str) -> None:
    from recbole.utils import get_model  # saves start-up time

    known = find_model(name)
    if known is not None:
        raise LongInterestError(
            f"{module}:{name} has the same name as {known.module}:{known.attribute}. Rename the class."
        )
    try:
        get_model(name)
    except (LongInterestError, ImportError):
        return
    raise LongInterestError(f"{module}:{name} has the same name as a model of RecBole. Rename the class.")


def folder_of(model: str) -> Path | None:
    """The folder from which other processes import a user's own model; None for other models.

    Args:
        model: name of the model, after a call of :func:`model_name`.
    """
    if not is_own(model):
        return None
    top = sys.modules[model.partition(":")[0].partition(".")[0]]
    is_package = hasattr(top, "__path__")
    return Path(next(iter(top.__path__)) if is_package else inspect.getfile(top)).resolve().parent


def check_known(config: "Config", path: str | os.PathLike[str]) -> None:
    """Check that this process has named the model of a config from a file, if it is a user's own.

    Args:
        config: config from the file; nothing is imported for it.
        path: the file, for the error.

    Raises:
        LongInterestError: if it has not; the message says which model to name.
    """
    model = f"{config.final_config_dict.get(MODULE)}:{config.final_config_dict.get('model')}"
    match = SPEC.fullmatch(model)
    if config.final_config_dict.get(MODULE) and match and find_model(match[2]) is None:
        raise LongInterestError(
            f"{path} was trained with {match[2]} from the module {match[1]}, a model of your own. A file cannot choose "
            f"the code to run: name the model yourself, with --model {model}."
        )
