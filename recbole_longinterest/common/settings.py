"""What the plugin reads of RecBole's ``Config``; RecBole itself is untyped."""

from typing import Any, Protocol


class Settings(Protocol):
    """RecBole's ``Config``, or a dict that stands in for it.

    ``config[key]`` is ``None`` for a key that nobody has set.
    """

    def __getitem__(self, key: str, /) -> Any:  # noqa: ANN401 - a setting may be anything
        """Value of a setting."""

    def __setitem__(self, key: str, value: Any, /) -> None:  # noqa: ANN401
        """Change a setting."""
