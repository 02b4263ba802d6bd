"""The version of this package."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("recbole-longinterest")
except PackageNotFoundError:  # a copied source tree that was never installed
    __version__ = "0+unknown"
