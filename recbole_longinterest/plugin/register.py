"""Load the whole plugin at once."""

import importlib

from recbole_longinterest.common.packages import check_recbole
from recbole_longinterest.plugin.fixes import hooks
from recbole_longinterest.plugin.lookups import LOOKUPS, SEQUENTIAL, place_model


def register() -> None:
    """Import every module of RecBole that the plugin changes, and patch it now instead of at its own import.

    Safe to call more than once, in every process. Modules that import ray are patched later, when they are imported.

    Raises:
        MissingPackage: if RecBole is not installed, or has another version.
    """
    check_recbole()
    hooks.install()
    for module in (*hooks.WATCHED, *LOOKUPS):
        if module not in ("recbole.quick_start.quick_start", SEQUENTIAL):
            importlib.import_module(module)
    place_model()
