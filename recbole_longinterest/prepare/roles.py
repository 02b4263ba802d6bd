"""Which columns hold the parts of an event."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Roles:
    """Columns of the chunks that hold the parts of an event; None for a part that the files do not have."""

    user: str
    item: str
    time: str
    rating: str | None = None
    behavior: str | None = None

    @property
    def columns(self) -> list[str]:
        """The columns that are there, each once."""
        return list(dict.fromkeys(name for name in vars(self).values() if name is not None))
