"""Shared parts of item vector sources: a matrix made at first use, and checks of their settings."""

from collections.abc import Mapping, Sequence
from logging import getLogger
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.item_sources import whitened
from recbole_longinterest.nn.sources import ItemMatrix

TEXT_KEYS = ("fields", "template", "numbers", "encoder", "pooling", "max_length", "prompt", "precision", "chunks")


class Rows(Protocol):
    """A function that makes the raw vectors of a source."""

    def __call__(self) -> tuple[list[int], NDArray[np.float32]]:
        """Internal ids of the items that have a vector, and the vectors, [n, E]."""


class LazyMatrix:
    """A matrix that is made at the first call of :meth:`matrix`. A copy is the same object, as for ``ItemTexts``.

    Args:
        name: name of the source, for messages.
        n_items: number of items with the padding.
        width: columns of the matrix.
        rows: function that makes the raw vectors.
    """

    def __init__(self, name: str, n_items: int, width: int, rows: Rows) -> None:
        self.name, self.n_items, self.width, self.rows = name, n_items, width, rows
        self._matrix: ItemMatrix | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "LazyMatrix":
        """Return the same object, which never changes."""
        return self

    def matrix(self) -> ItemMatrix:
        """Make the vectors, whiten them and align them to item ids.

        Raises:
            LongInterestError: if no item has a vector.
        """
        if self._matrix is None:
            rows, vectors = self.rows()
            items = self.n_items - 1
            if not rows:
                raise LongInterestError(
                    f"item_sources.{self.name}: not one of the {items} items has a vector. Check that its item tokens "
                    "are those of the .inter file, or leave it out."
                )
            missing = items - len(rows)
            getLogger().info(
                f"{len(rows)} of {items} items have a vector of {self.name}"
                + (f"; the other {missing} share a learned vector." if missing else ".")
            )
            self._matrix = whitened(self.n_items, rows, vectors, self.width)
        return self._matrix


def checked_settings(
    settings: Mapping[str, Any], needed: Sequence[str], optional: Sequence[str], config: Settings
) -> dict[str, Any]:
    """Check the settings of a source and add its ``width``; the default is ``text_dim``.

    Args:
        settings: the settings, with the source's ``name``.
        needed: required keys.
        optional: other allowed keys.
        config: RecBole's config.

    Returns:
        The settings without ``kind`` and ``name``.

    Raises:
        LongInterestError: if a setting is missing or unknown, or the width is wrong.
    """
    name, given = settings["name"], {key: value for key, value in settings.items() if key not in ("kind", "name")}
    missing = [key for key in needed if not given.get(key)]
    unknown = [key for key in given if key not in (*needed, *optional)]
    if missing or unknown:
        wrong = f"lacks {', '.join(missing)}" if missing else f"has no setting {', '.join(map(str, unknown))}"
        raise LongInterestError(
            f"item_sources.{name} {wrong}; its settings are {', '.join((*needed, *optional))}. Correct it."
        )
    width = given.get("width") or config["text_dim"]
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise LongInterestError(f"item_sources.{name}.width must be a whole number of at least 1; got {width!r}.")
    return {**given, "width": width}


def text_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Convert :data:`TEXT_KEYS` of a source to ``text_*`` settings; ``fields`` without ``template`` has no template."""
    own = {f"text_{key}": given[key] for key in TEXT_KEYS if key in given}
    if "fields" in given:
        own.setdefault("text_template", None)
    return own


class Overlay:
    """A config with some settings replaced.

    Args:
        config: the config.
        own: the settings that replace those of ``config``.
    """

    def __init__(self, config: Settings, own: Mapping[str, Any]) -> None:
        self._config, self._own = config, dict(own)
        self.encoder_is_named = getattr(config, "__dict__", {}).get("encoder_is_named", True)

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - a setting may be anything
        return self._own[key] if key in self._own else self._config[key]

    def __setitem__(self, key: str, value: Any) -> None:  # noqa: ANN401
        self._own[key] = value
