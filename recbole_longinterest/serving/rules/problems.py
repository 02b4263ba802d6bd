"""Validate the values of a settings file, and collect all errors for one message."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any


class Problems:
    """The errors of a file, with their locations.

    Attributes:
        found: the errors, as sentences without a full stop.
    """

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, where: str, due: str, got: object) -> None:
        """Add the error that a value is invalid."""
        self.found.append(f"{where} must be {due}; got {got!r:.80}")

    def mapping(self, value: object, where: str, keys: Collection[str] | None = None) -> Mapping[str, Any]:
        """Return a mapping with text keys, which must be in ``keys`` if given; empty if the value is invalid."""
        if not isinstance(value, Mapping):
            self.add(where, "a mapping" + (f" with {', '.join(keys)}" if keys else ""), value)
            return {}
        for key in value:
            if keys is not None and key not in keys:
                near = difflib.get_close_matches(str(key), keys, 1)
                self.found.append(
                    f"{where} has no key {key!r}: it takes {', '.join(keys)}" + (f" (meant {near[0]}?)" if near else "")
                )
        return {str(key): part for key, part in value.items() if keys is None or key in keys}

    def items(self, value: object, where: str) -> list[Any]:
        """Return a list; a single mapping becomes a list with one element."""
        if isinstance(value, Mapping):
            return [value]
        if not isinstance(value, list):
            self.add(where, "a list", value)
            return []
        return value

    def texts(self, value: object, where: str) -> list[str]:
        """Convert a text, a number, or a list of these to texts; booleans become "true" and "false"."""
        values = value if isinstance(value, list) else [value]
        if not values or not all(isinstance(each, (str, int, float)) for each in values):
            self.add(where, "a text, a number, or a list of these", value)
            return []
        return [str(each).lower() if isinstance(each, bool) else str(each) for each in values]

    def number(self, value: Any, where: str, low: float, high: float = float("inf"), whole: bool = False) -> Any:  # noqa: ANN401
        """Return a number within bounds; ``low`` if the value is invalid."""
        fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        if not fits or not low <= value <= high:
            span = f"of at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
            self.add(where, f"a {'whole ' if whole else ''}number {span}", value)
            return low
        return int(value) if whole else value

    def choice(self, value: object, where: str, choices: Collection[str]) -> str:
        """Return one of the given words; the first if the value is invalid."""
        if value not in choices:
            self.add(where, f"one of {', '.join(choices)}", value)
            return next(iter(choices))
        return str(value)
