"""Named parts that users can add to: cells, losses, sources, engines."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from recbole_longinterest.common.errors import LongInterestError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

Part = TypeVar("Part")


class Registry(Generic[Part]):
    """Parts by name: those that code adds, and those that installed packages name as entry points.

    Args:
        key: what a user names the part by, for errors: a setting or an argument.
        register: the public function that adds a part, for errors.
        group: of entry points; one whose name is asked for is loaded.
    """

    def __init__(self, key: str, register: str, group: str) -> None:
        self.key = key
        self._register, self._group = register, group
        self._parts: dict[str, Part] = {}

    def add(self, name: str, part: Part) -> None:
        """Add a part.

        Raises:
            LongInterestError: if the name is taken by another part.
        """
        if self._parts.setdefault(name, part) is not part:
            raise LongInterestError(f"{self._register}: the name {name!r} is taken. Choose another name.")

    def remove(self, name: str) -> None:
        """Take a part out again."""
        del self._parts[name]

    def get(self, name: object) -> Part:
        """The part of a name.

        Raises:
            LongInterestError: if there is none.
        """
        if isinstance(name, str) and name not in self._parts:
            for point in _entry_points(self._group):
                if point.name == name:
                    self.add(name, point.load())
        part = self._parts.get(name) if isinstance(name, str) else None
        if part is None:
            raise LongInterestError(
                f"{self.key} must be one of {', '.join(self) or '(there are none yet)'}; got {name!r}. A part of your "
                "own must be known first: "
                f"import the module that calls {self._register}, or name it as an entry point of {self._group}."
            )
        return part

    def __contains__(self, name: object) -> bool:
        """Whether a part has this name."""
        return name in self._parts or name in list(self)

    def __iter__(self) -> Iterator[str]:
        """The names, built-in ones first."""
        return iter(dict.fromkeys((*self._parts, *(point.name for point in _entry_points(self._group)))))


def _entry_points(group: str) -> "EntryPoints":
    from importlib.metadata import entry_points  # late: it takes 0.1 s, and most commands need none

    return entry_points(group=group)
