"""The version of this package, and of those that its results depend on."""

import platform
from importlib.metadata import PackageNotFoundError, version

MATTER = ("recbole", "torch", "numpy", "pandas", "transformers", "ray", "onnxruntime")
"""Packages whose version a report of an error has to name."""


def _installed(name: str, otherwise: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return otherwise


__version__ = _installed("recbole-longinterest", "0+unknown")  # unknown: a copied source tree, never installed


def versions_of() -> dict[str, str]:
    """Versions of Python and of the packages in :data:`MATTER`, read from their metadata without an import."""
    return {"python": platform.python_version(), **{name: _installed(name, "not installed") for name in MATTER}}
