"""Replacing a name in a module, which may not be imported yet, or in a single function."""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import FunctionType, ModuleType
from typing import Any

QUICK_START = ("recbole.quick_start", "recbole.quick_start.quick_start")
"""RecBole's modules that import ray."""

_waiting: dict[str, list[Callable[[ModuleType], None]]] = {}


def after_import(module_name: str, callback: Callable[[ModuleType], None]) -> None:
    """Call back with a module: now if it is imported already, else right after its code has run.

    Args:
        module_name: full name of the module, which this does not import.
        callback: gets the module.
    """
    module = sys.modules.get(module_name)
    if module is not None:
        callback(module)
        return
    _waiting.setdefault(module_name, []).append(callback)
    if not any(isinstance(finder, _PostImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _PostImport())


class _PostImport(importlib.abc.MetaPathFinder):
    """Finds nothing by itself: has the loader that the other finders give call back after the module's code."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _waiting:
            return None
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        spec = next(filter(None, (finder.find_spec(fullname, path, target) for finder in others)), None)
        if spec is None or spec.loader is None:
            return spec
        exec_module = spec.loader.exec_module

        def exec_and_call_back(module: ModuleType) -> None:
            exec_module(module)
            for callback in _waiting.pop(fullname, []):
                callback(module)

        spec.loader.exec_module = exec_and_call_back  # type: ignore[method-assign]
        return spec


def rebind(name: str, value: object, *modules: str) -> None:
    """Set a name in every module that binds it by ``from ... import``, as each is imported."""
    for module in modules:
        after_import(module, lambda module: setattr(module, name, value))


def with_globals(function: Any, **names: Any) -> FunctionType:  # noqa: ANN401
    """The same code with a few of its module's names changed, for this function alone.

    Args:
        function: any function written in Python.
        names: name -> what the function finds under it.

    Returns:
        A new function; the given one and its module stay as they are.
    """
    scope = {**function.__globals__, **names}
    copy = FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    copy.__doc__ = function.__doc__
    return copy
