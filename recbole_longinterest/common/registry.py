"""Registries of named components that users can extend: cells, losses, sources, engines."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from recbole_longinterest.common.errors import LongInterestError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

Part = TypeVar("Part")


class Registry(Generic[Part]):
    """Components by name, added by code or by the entry points of installed packages.

    Args:
        key: setting or argument that selects a component, for errors.
        register: public function that adds a component, for errors.
        group: entry point group; an entry point is loaded when its name is first requested.
    """

    def __init__(self, key: str, register: str, group: str) -> None:
        self.key = key
        self._register, self._group = register, group
        self._parts: dict[str, Part] = {}

    def add(self, name: str, part: Part) -> None:
        """Add a component.

        Raises:
            LongInterestError: if the name is taken by another component.
        """
        if self._parts.setdefault(name, part) is not part:
            raise LongInterestError(f"{self._register}: the name {name!r} is taken. Choose another name.")

    def remove(self, name: str) -> None:
        """Remove a component."""
        del self._parts[name]

    def get(self, name: object) -> Part:
        """Return the component of a name.

        Raises:
            LongInterestError: for an unknown name, or an entry point that cannot be loaded.
        """
        if isinstance(name, str) and name not in self._parts:
            for point in _entry_points(self._group):
                if point.name == name:
                    self.add(name, _load(point))
        part = self._parts.get(name) if isinstance(name, str) else None
        if part is None:
            raise LongInterestError(
                f"{self.key} must be one of {', '.join(self) or '(none registered)'}; got {name!r}. To use your own, "
                f"import the module that calls {self._register}, or add an entry point in the group {self._group}."
            )
        return part

    def __contains__(self, name: object) -> bool:
        """Whether a component has this name."""
        return name in self._parts or name in list(self)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, built-in ones first."""
        return iter(dict.fromkeys((*self._parts, *(point.name for point in _entry_points(self._group)))))


def _load(point: "EntryPoint") -> Any:  # noqa: ANN401 - whatever the package offers
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise LongInterestError(
            f"{point.name}, which an installed package registers as {point.value} (entry point in the group "
            f"{point.group}), cannot be loaded: {error}. Correct that package, or remove it."
        ) from error


def _entry_points(group: str) -> "EntryPoints":
    from importlib.metadata import entry_points  # late: it takes 0.1 s, and most commands do not need it

    return entry_points(group=group)
