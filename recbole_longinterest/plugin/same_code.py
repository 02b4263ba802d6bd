"""RecBole's own code with a few of its names changed."""

from types import FunctionType
from typing import Any


def with_globals(function: Any, **names: object) -> FunctionType:  # noqa: ANN401
    """The same code with a few of its module's names changed, for this function alone.

    Args:
        function: any function written in Python.
        names: name -> what the function finds under it.

    Returns:
        A new function. The given one and its module do not change.
    """
    scope = {**function.__globals__, **names}
    copy = FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    copy.__doc__ = function.__doc__
    return copy
