"""Loading all of the plugin at once."""

import importlib

from recbole_longinterest.common.packages import check_recbole
from recbole_longinterest.plugin.fixes import hooks
from recbole_longinterest.plugin.lookups import LOOKUPS, SEQUENTIAL, place_model


def register() -> None:
    """Load the plugin and every part of RecBole that it changes, now; else each is changed when it is imported.

    Safe to call again, and in every process. What imports ray is left for its own import.

    Raises:
        MissingPackage: if RecBole is not installed, or in another version.
    """
    check_recbole()
    hooks.install()
    for module in (*hooks.WATCHED, *LOOKUPS):
        if module not in ("recbole.quick_start.quick_start", SEQUENTIAL):
            importlib.import_module(module)
    place_model()
