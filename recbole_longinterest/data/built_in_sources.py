"""Sources of item vectors that need no code: ready vectors, further text encoders, image files."""

from collections.abc import Mapping, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.image_encoder import ImageEncoder, image_files
from recbole_longinterest.data.item_sources import register_item_source, whitened
from recbole_longinterest.data.item_texts import ItemTexts, load_item_texts, make_encoder
from recbole_longinterest.nn.sources import ItemMatrix
from recbole_longinterest.text.cache import encode_cached
from recbole_longinterest.text.vectors import read_vectors

TEXT_KEYS = ("fields", "template", "encoder", "pooling", "max_length", "prompt", "precision")


class _Rows(Protocol):
    """Makes the vectors of some items on request."""

    def __call__(self) -> tuple[list[int], NDArray[np.float32]]:
        """Internal ids of the items that have a vector, and the vectors, [n, E]."""


class LazyMatrix:
    """A matrix that is made at the first request; a copy is the same object, as for ``ItemTexts``.

    Args:
        name: of the source, for messages.
        n_items: items with the padding.
        width: columns of the matrix.
        rows: makes the raw vectors.
    """

    def __init__(self, name: str, n_items: int, width: int, rows: _Rows) -> None:
        self.name, self.n_items, self.width, self.rows = name, n_items, width, rows
        self._matrix: ItemMatrix | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "LazyMatrix":
        """Return the same object, which never changes."""
        return self

    def matrix(self) -> ItemMatrix:
        """Make the vectors, whiten, align to item ids.

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


def make_vectors(config: Settings, settings: Mapping[str, Any], tokens: Sequence[str]) -> LazyMatrix:
    """Ready vectors: ``{file: x.npy, width: 64}``, in the formats of ``text_vectors``."""
    given = _checked(settings, ("file",), ("width",), config)

    def rows() -> tuple[list[int], NDArray[np.float32]]:
        found, vectors = read_vectors(Path(str(given["file"])).expanduser(), config["ITEM_ID_FIELD"])
        place: dict[str, int] = {}
        for row, token in enumerate(found):
            place.setdefault(token, row)
        ids = [i for i, token in enumerate(tokens) if i and token in place]
        return ids, vectors[[place[tokens[i]] for i in ids]]

    return LazyMatrix(settings["name"], len(tokens), given["width"], rows)


def make_texts(config: Settings, settings: Mapping[str, Any], tokens: Sequence[str]) -> ItemTexts:
    """The texts by another encoder, or other columns: ``{kind: text, encoder: ..., fields: [...], width: 64}``.

    What is left out is that of the ``text_*`` settings.
    """
    given = _checked(settings, (), ("width", *TEXT_KEYS), config)
    own = {f"text_{key}": given[key] for key in TEXT_KEYS if key in given}
    if "fields" in given:
        own.setdefault("text_template", None)
    changed = _Changed(config, own)
    item_file = Path(config["data_path"]) / f"{config['dataset']}.item"
    texts = load_item_texts(changed, item_file, tokens)
    return ItemTexts(texts, given["width"], make_encoder(changed), bool(config["show_progress"]))


def make_images(config: Settings, settings: Mapping[str, Any], tokens: Sequence[str]) -> LazyMatrix:
    """Image files by a vision encoder: ``{folder: images, encoder: NAME, pooling: mean, width: 64}``."""
    given = _checked(settings, ("folder", "encoder"), ("width", "pooling"), config)

    def rows() -> tuple[list[int], NDArray[np.float32]]:
        files = image_files(Path(str(given["folder"])).expanduser())
        ids = [i for i, token in enumerate(tokens) if i and token in files]
        encoder = ImageEncoder(str(given["encoder"]), given.get("pooling", "mean"), config["device"])
        keys = [encoder.key_of(files[tokens[i]]) for i in ids]
        if not ids:
            return ids, np.zeros((0, 0), dtype=np.float32)
        return ids, encode_cached(keys, encoder, show_progress=bool(config["show_progress"]))

    return LazyMatrix(settings["name"], len(tokens), given["width"], rows)


class _Changed:
    """A config with some settings of its own."""

    def __init__(self, config: Settings, own: Mapping[str, Any]) -> None:
        self._config, self._own = config, dict(own)
        self.encoder_is_named = getattr(config, "__dict__", {}).get("encoder_is_named", True)

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - a setting may be anything
        return self._own[key] if key in self._own else self._config[key]

    def __setitem__(self, key: str, value: Any) -> None:  # noqa: ANN401
        self._own[key] = value


def _checked(
    settings: Mapping[str, Any], needed: Sequence[str], optional: Sequence[str], config: Settings
) -> dict[str, Any]:
    """The settings of a source, with its width.

    Raises:
        LongInterestError: for a setting that is missing or unknown, or a wrong width.
    """
    name, given = settings["name"], {key: value for key, value in settings.items() if key not in ("kind", "name")}
    missing = [key for key in needed if not given.get(key)]
    unknown = [key for key in given if key not in (*needed, *optional)]
    if missing or unknown:
        wrong = f"lacks {', '.join(missing)}" if missing else f"has no setting {', '.join(map(str, unknown))}"
        raise LongInterestError(
            f"item_sources.{name} {wrong}; its settings are {', '.join((*needed, *optional))}. Mend it."
        )
    width = given.get("width") or config["text_dim"]
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise LongInterestError(f"item_sources.{name}.width must be a whole number of at least 1; got {width!r}.")
    return {**given, "width": width}


register_item_source("vectors", make_vectors, named=True)
register_item_source("text", make_texts, named=True)
register_item_source("image", make_images, named=True)
