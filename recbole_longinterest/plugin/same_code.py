"""Run RecBole's own code with some of its global names replaced."""

from types import FunctionType
from typing import Any


def with_globals(function: Any, **names: object) -> FunctionType:  # noqa: ANN401
    """Copy a function with some of its module's global names replaced.

    Args:
        function: any function written in Python.
        names: global name -> replacement.

    Returns:
        A new function. The given one and its module do not change.
    """
    scope = {**function.__globals__, **names}
    copy = FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    copy.__doc__ = function.__doc__
    return copy
