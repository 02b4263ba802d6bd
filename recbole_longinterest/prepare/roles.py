"""Column names of user, item, time, rating and behaviour."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Roles:
    """Column names of user, item, time, rating and behaviour; None for those that the files do not have.

    Without a time column, events are in file order.
    """

    user: str
    item: str
    time: str | None = None
    rating: str | None = None
    behavior: str | None = None

    @property
    def columns(self) -> list[str]:
        """Distinct column names."""
        return list(dict.fromkeys(name for name in vars(self).values() if name is not None))
