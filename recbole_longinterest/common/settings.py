"""The interface of RecBole's ``Config`` that the plugin uses; RecBole itself is untyped."""

from typing import Any, Protocol


class Settings(Protocol):
    """RecBole's ``Config``, or a dict in its place.

    ``config[key]`` is ``None`` for a key that is not set.
    """

    def __getitem__(self, key: str, /) -> Any:  # noqa: ANN401 - a setting may be anything
        """Return a setting."""

    def __setitem__(self, key: str, value: Any, /) -> None:  # noqa: ANN401
        """Change a setting."""
