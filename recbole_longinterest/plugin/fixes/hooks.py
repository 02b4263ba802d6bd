"""When the patches are applied: as soon as the RecBole module that they change is imported.

:func:`install` is what importing ``recbole_longinterest`` does, so this module imports nothing that takes time. The
library wrapt, which runs the hooks, is imported together with RecBole.
"""

import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType

from recbole_longinterest.plugin.lookups import LOOKUPS

FIXES = "recbole_longinterest.plugin.fixes"

WATCHED: dict[str, tuple[str, ...]] = {
    "recbole": ("environment", "config", "processes", "known_places"),
    "recbole.utils.utils": ("model_names",),
    "recbole.utils.logger": ("run_logs",),
    "recbole.utils.wandblogger": ("wandb_runs",),
    "recbole.config.configurator": ("plugin_settings",),
    "recbole.evaluator.collector": ("collector",),
    "recbole.evaluator.evaluator": ("metrics",),
    "recbole.data.utils": ("loaders",),
    "recbole.data.dataset.dataset": ("datasets",),
    "recbole.trainer.hyper_tuning": ("hyper_tuning",),
    "recbole.trainer.trainer": ("trainers", "notebooks"),
    "recbole.model": ("models",),
    "recbole.quick_start.quick_start": ("ray_objective", "load_model"),
}
"""Module of RecBole -> modules of this folder whose patches are needed from its import on.

A module of this folder may import, at its top, only those of our modules that do not import "its" RecBole module
themselves: else importing such a module first would come back to it while it is half done. Where a patch needs more, it
imports it when it is called.
"""


def install() -> None:
    """Have the patches and the model registered when RecBole is imported, or now if it is imported already."""
    if "recbole" in sys.modules:
        _watch()
    elif not any(isinstance(finder, _RecBoleFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _RecBoleFinder())


def when_imported(module_name: str, callback: Callable[[ModuleType], object]) -> None:
    """Call back with a module: now if it is imported already, else right after its code has run.

    Args:
        module_name: full name of the module. It is not imported here.
        callback: gets the module.
    """
    import wrapt  # late: it takes longer to import than all else here

    wrapt.register_post_import_hook(callback, module_name)


class _RecBoleFinder:
    """Sets the hooks when RecBole is imported, and says what to install if it is not there.

    It finds nothing itself. It goes when RecBole is found, and stays otherwise, so that RecBole can be installed while
    the process runs, as in a notebook.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != "recbole":
            return None
        sys.meta_path.remove(self)
        if importlib.util.find_spec(name) is None:
            sys.meta_path.insert(0, self)
            if _is_import():
                from recbole_longinterest.common.packages import missing_recbole  # late: saves start-up time

                raise missing_recbole()
            return None
        _watch()
        return importlib.util.find_spec(name)  # by the other finders, of which wrapt's calls back


def _is_import() -> bool:
    """Whether a finder was called by an import, rather than by ``importlib.util.find_spec``, which expects None."""
    caller = sys._getframe(3)  # above this function, the finder, and importlib's loop over finders
    return caller.f_globals.get("__name__") != "importlib.util"


@functools.cache  # once a process
def _watch() -> None:
    for module_name, fixes in WATCHED.items():
        for fix in fixes:
            when_imported(module_name, lambda _, fix=fix: importlib.import_module(f"{FIXES}.{fix}"))  # type: ignore[misc]
    for module_name, callback in LOOKUPS.items():
        when_imported(module_name, callback)
