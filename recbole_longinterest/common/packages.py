"""Check packages that a feature needs: RecBole in the patched version, Ray, and what some models import late."""

import importlib.util
import re
import sys

from recbole_longinterest.common.errors import LongInterestError

RECBOLE = "1.2.1"
RAY = (2, 40)  # earliest for a search

# Models that import a package only where they use it, in the middle of a run.
MODEL_PACKAGES = {"KGAT": "dgl", "KGIN": "torch_scatter", "MCCLK": "torch_scatter", "NCL": "faiss"}

# Where the name to install is another one.
INSTALL = {
    "torch_scatter": "torch-scatter",
    "faiss": "faiss-cpu",
    "hyperopt": "'recbole-longinterest[hyperopt]'",
    "optuna": "'recbole-longinterest[optuna]'",
    "wandb": "'recbole-longinterest[wandb]'",
    "captum": "'recbole-longinterest[explain]'",
    "cryptography": "'recbole-longinterest[sign]'",
    "onnx": "'recbole-longinterest[onnx]'",
    "onnxruntime": "'recbole-longinterest[onnx]'",
}


class MissingPackage(ImportError, LongInterestError):
    """A package that is not installed, or in another version; a ValueError because a setting asks for it."""


def check_recbole() -> None:
    """Refuse a RecBole of another version than the one that the patches are for.

    Raises:
        MissingPackage: says what to install.
    """
    try:
        recbole = importlib.import_module("recbole")  # by its name: only the version is read
    except ModuleNotFoundError as error:
        if error.name != "recbole":
            raise
        raise MissingPackage(
            f"recbole_longinterest needs RecBole {RECBOLE}, which is not installed: pip install recbole=={RECBOLE}"
        ) from error
    installed = getattr(recbole, "__version__", "of an unknown version")
    if installed != RECBOLE:
        raise MissingPackage(
            f"recbole_longinterest works with RecBole {RECBOLE} only, and RecBole {installed} is installed: "
            f"pip install recbole=={RECBOLE}"
        )


def require(package: str, what: str) -> None:
    """Refuse what a package that is not installed would end in the middle of.

    Args:
        package: name by which it is imported.
        what: what needs it.

    Raises:
        MissingPackage: says what to install.
    """
    if sys.modules.get(package) is None and (package in sys.modules or importlib.util.find_spec(package) is None):
        raise MissingPackage(
            f"{what} needs the package {package}, which is not installed: pip install {INSTALL.get(package, package)}"
        )


def require_ray(what: str) -> None:
    """Refuse the Ray that RecBole's own pin brings, whose Tune has another interface.

    Raises:
        MissingPackage: says how to have today's.
    """
    from importlib.metadata import version  # 0.1 s, which start-up need not pay

    require("ray", what)
    installed = version("ray")
    if tuple(map(int, re.findall(r"\d+", installed)[:2])) < RAY:
        raise MissingPackage(
            f"{what} needs ray {'.'.join(map(str, RAY))} or later, and ray {installed} is installed: install with uv "
            "and the wheel's overrides.txt (README, Install)."
        )
