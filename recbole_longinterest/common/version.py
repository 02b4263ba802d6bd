"""Versions of this package and of the packages that its results depend on."""

import platform
from importlib.metadata import PackageNotFoundError, version

MATTER = ("recbole", "torch", "numpy", "pandas", "transformers", "ray", "onnxruntime")
"""Packages whose versions an error report must include."""


def _installed(name: str, otherwise: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return otherwise


__version__ = _installed("recbole-longinterest", "0+unknown")  # unknown: a copied source tree, never installed


def versions_of() -> dict[str, str]:
    """Return the versions of Python and of the packages in :data:`MATTER`, without importing them."""
    return {"python": platform.python_version(), **{name: _installed(name, "not installed") for name in MATTER}}
