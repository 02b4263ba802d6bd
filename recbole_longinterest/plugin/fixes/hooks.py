"""Import hooks that apply each patch as soon as the RecBole module that it changes is imported.

Importing ``recbole_longinterest`` calls :func:`install`, so this module imports nothing slow. The library wrapt, which
runs the hooks, is imported together with RecBole.
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
"""RecBole module -> modules of this folder to import with it, because they patch it.

At its top, a module of this folder may import only modules of ours that do not import "its" RecBole module themselves;
otherwise there is a circular import. A patch that needs more imports it when it is called.
"""


def install() -> None:
    """Register patches and models when RecBole is imported, or now if it is already imported."""
    if "recbole" in sys.modules:
        _watch()
    elif not any(isinstance(finder, _RecBoleFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _RecBoleFinder())
    if "IPython" in sys.modules:
        from recbole_longinterest.common.notebook import without_widget_notes  # late: only notebooks need it

        without_widget_notes()


def when_imported(module_name: str, callback: Callable[[ModuleType], object]) -> None:
    """Call a function with a module, right after its import or now if it is already imported.

    Args:
        module_name: full name of the module; this function does not import it.
        callback: called with the module.
    """
    import wrapt  # late: the slowest import of this module

    wrapt.register_post_import_hook(callback, module_name)


class _RecBoleFinder:
    """Import finder that sets the hooks when RecBole is imported, and raises a helpful error if it is not installed.

    It never returns its own module. It removes itself when RecBole is found. Otherwise it stays, because RecBole
    may be installed while the process runs, as in a notebook.
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
        return importlib.util.find_spec(name)  # by the other finders; wrapt's runs the hooks


def _is_import() -> bool:
    """Whether an import called the finder, and not ``importlib.util.find_spec``, which expects None."""
    caller = sys._getframe(3)  # skip this function, the finder, and importlib's loop over finders
    return caller.f_globals.get("__name__") != "importlib.util"


@functools.cache  # once per process
def _watch() -> None:
    for module_name, fixes in WATCHED.items():
        for fix in fixes:
            when_imported(module_name, lambda _, fix=fix: importlib.import_module(f"{FIXES}.{fix}"))  # type: ignore[misc]
    for module_name, callback in LOOKUPS.items():
        when_imported(module_name, callback)
