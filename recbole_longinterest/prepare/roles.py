"""Which columns hold the parts of an event."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Roles:
    """Columns of the chunks that hold the parts of an event; None for a part that the files do not have.

    Without a time, events are in the order of the files.
    """

    user: str
    item: str
    time: str | None = None
    rating: str | None = None
    behavior: str | None = None

    @property
    def columns(self) -> list[str]:
        """The columns that are there, each once."""
        return list(dict.fromkeys(name for name in vars(self).values() if name is not None))
