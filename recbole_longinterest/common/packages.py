"""Check the packages that a feature needs: RecBole at the patched version, Ray, and packages that models import late.

RecBole is not a dependency of this package, because its metadata requires Ray <=2.6.3 (docs/install.md).
"""

import importlib.util
import re
import sys

from recbole_longinterest.common.errors import LongInterestError

RECBOLE = "1.2.1"
INSTALL_RECBOLE = f"pip install --no-deps recbole=={RECBOLE}"
DOCTOR = "(recbole-li doctor checks the installation)"
"""Ending of every error that an installation problem can cause."""
RAY = (2, 55)  # earlier versions have known vulnerabilities, such as CVE-2026-27482

# Models that import a package only when they use it, in the middle of a run.
MODEL_PACKAGES = {"KGAT": "dgl", "KGIN": "torch_scatter", "MCCLK": "torch_scatter", "NCL": "faiss"}

# What to pip install, where it differs from the import name.
INSTALL = {
    "torch_scatter": "torch-scatter",
    "sentence_transformers": "sentence-transformers",
    "faiss": "faiss-cpu",
    "hyperopt": "'recbole-longinterest[hyperopt]'",
    "optuna": "'recbole-longinterest[optuna]'",
    "wandb": "'recbole-longinterest[wandb]'",
    "captum": "'recbole-longinterest[explain]'",
    "cryptography": "'recbole-longinterest[sign]'",
    "PIL": "'recbole-longinterest[vision]'",
    "peft": "'recbole-longinterest[adapt]'",
    "torch_geometric": "'recbole-longinterest[graph]'",
    "onnx": "'recbole-longinterest[onnx]'",
    "onnxruntime": "'recbole-longinterest[onnx]'",
    "mcp": "'recbole-longinterest[serve,mcp]'",
    **dict.fromkeys(
        ("fastapi", "uvicorn", "pydantic", "sqlalchemy", "alembic", "prometheus_client", "psycopg"),
        "'recbole-longinterest[serve]'",
    ),
}


class MissingPackage(ImportError, LongInterestError):
    """A package that is missing or has the wrong version; a ValueError, because a setting asks for it.

    Args:
        message: what is missing and how to install it; :data:`DOCTOR` is added.
        name: import name of the package.
    """

    def __init__(self, message: str, *, name: str | None = None) -> None:
        whole = message if message.endswith(DOCTOR) else f"{message} {DOCTOR}"  # unpickling calls this again
        super().__init__(whole, name=name)


def missing_recbole() -> MissingPackage:
    """Return the error for an environment without RecBole."""
    return MissingPackage(
        f"recbole_longinterest needs RecBole {RECBOLE} for this, and it is not installed: {INSTALL_RECBOLE}",
        name="recbole",
    )


def check_recbole() -> None:
    """Raise an error unless RecBole has the version that the patches are written for.

    Raises:
        MissingPackage: says what to install.
    """
    try:
        recbole = importlib.import_module("recbole")  # only the version is read
    except ModuleNotFoundError as error:
        if error.name != "recbole":
            raise
        raise missing_recbole() from error
    installed = getattr(recbole, "__version__", "of an unknown version")
    if installed != RECBOLE:
        raise MissingPackage(
            f"recbole_longinterest works with RecBole {RECBOLE} only, and RecBole {installed} is installed: "
            f"{INSTALL_RECBOLE}"
        )


def require(package: str, what: str) -> None:
    """Raise an error early if a package is missing, instead of failing in the middle of a run.

    Args:
        package: import name.
        what: the feature that needs it, for the message.

    Raises:
        MissingPackage: says what to install.
    """
    if sys.modules.get(package) is None and (package in sys.modules or importlib.util.find_spec(package) is None):
        raise MissingPackage(
            f"{what} needs the package {package}, which is not installed: pip install {INSTALL.get(package, package)}"
        )


def require_ray(what: str) -> None:
    """Raise an error for a Ray version with known vulnerabilities, such as RecBole's metadata installs.

    The Tune interface of those versions differs, too.

    Raises:
        MissingPackage: says what to install.
    """
    from importlib.metadata import version  # late: the import takes 0.1 s

    require("ray", what)
    installed = version("ray")
    if tuple(map(int, re.findall(r"\d+", installed)[:2])) < RAY:
        least = ".".join(map(str, RAY))
        raise MissingPackage(
            f"{what} needs ray {least} or later, and ray {installed} is installed: pip install 'ray[tune]>={least}'"
        )


def unmet() -> list[tuple[str, str]]:
    """Compare the installed packages with this package's requirements, like `pip check`, without extras.

    Returns:
        (problem, command that fixes it) for each package. Empty for a source tree that was never installed.
    """
    from importlib.metadata import PackageNotFoundError, distributions, requires  # late: takes 0.1 s

    from packaging.requirements import Requirement

    try:
        stated = requires("recbole-longinterest") or []
    except PackageNotFoundError:
        return []
    folders = [folder for folder in sys.path if "thirdparty_files" not in folder]  # copies bundled with ray
    found = []
    for need in map(Requirement, stated):
        if need.marker and not need.marker.evaluate({"extra": ""}):
            continue
        installed = next(iter(distributions(name=need.name, path=folders)), None)
        if installed is None:
            found.append((f"The package {need.name} is not installed.", f"pip install '{need}'"))
        elif not need.specifier.contains(installed.version, prereleases=True):
            what = f"{need.name} {installed.version} is installed; recbole-longinterest needs"
            found.append((f"{what} {need.name}{need.specifier}.", f"pip install '{need}'"))
    return found
