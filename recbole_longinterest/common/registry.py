"""Named parts that users can add to: cells, losses, sources, engines."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from recbole_longinterest.common.errors import LongInterestError

Part = TypeVar("Part")


class Registry(Generic[Part]):
    """Parts by name.

    Args:
        key: what a user names the part by, for errors: a setting or an argument.
        register: the public function that adds a part, for errors.
    """

    def __init__(self, key: str, register: str) -> None:
        self.key = key
        self._register = register
        self._parts: dict[str, Part] = {}

    def add(self, name: str, part: Part) -> None:
        """Add a part.

        Raises:
            LongInterestError: if the name is taken by another part.
        """
        if self._parts.setdefault(name, part) is not part:
            raise LongInterestError(f"{self._register}: the name {name!r} is taken. Choose another name.")

    def remove(self, name: str) -> None:
        """Remove a part; for tests."""
        del self._parts[name]

    def get(self, name: object) -> Part:
        """The part of a name.

        Raises:
            LongInterestError: if there is none.
        """
        part = self._parts.get(name) if isinstance(name, str) else None
        if part is None:
            raise LongInterestError(
                f"{self.key} must be one of {', '.join(self._parts)}; got {name!r}. "
                f"A part of your own must be registered first: import the module that calls {self._register}."
            )
        return part

    def __contains__(self, name: object) -> bool:
        """Whether a part has this name."""
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        """The names, built-in ones first."""
        return iter(self._parts)
