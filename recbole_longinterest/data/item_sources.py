"""Registry of sources of item vectors other than the texts.

To add a source, write a function that makes a :class:`~recbole_longinterest.nn.sources.MatrixSource` from settings and
item tokens, call :func:`register_item_source`, and set ``item_sources: {name: {any settings}}``. :func:`whitened`
whitens raw vectors and aligns them with the item ids. For several sources of one kind, set
``item_sources: {any_name: {kind: name, ...}}``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.registry import Registry
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.nn.sources import ItemMatrix, MatrixSource, usable_name
from recbole_longinterest.text.whitening import Whitening

Make = Callable[[Settings, Mapping[str, Any], Sequence[str]], MatrixSource]
ITEM_SOURCES: Registry[Make] = Registry(
    "The name of an item source", "register_item_source", "recbole_longinterest.item_sources"
)
_NAMED: set[str] = set()  # kinds that get the source's name


def register_item_source(name: str, make: Make, named: bool = False) -> None:
    """Register a source of item vectors for ``item_sources``.

    Args:
        name: name of the source, and its ``kind``.
        make: function that makes the source. It gets RecBole's config, the settings under the source's name, and the
            raw item tokens by internal id; the first one is the padding.
        named: add the source's name to these settings, under the key ``name``.

    Raises:
        LongInterestError: if the name is taken, or torch does not accept it as a module name.
    """
    if not usable_name(name):
        raise LongInterestError(f"register_item_source: a source cannot be called {name!r}. Choose another name.")
    ITEM_SOURCES.add(name, make)
    if named:
        _NAMED.add(name)


def make_item_source(name: str, config: Settings, settings: Mapping[str, Any], tokens: Sequence[str]) -> MatrixSource:
    """Make one of the sources from :func:`read_item_sources`.

    Args:
        name: name of the source.
        config: RecBole's config.
        settings: settings under the source's name.
        tokens: raw item tokens by internal id; the first one is the padding.
    """
    kind = str(settings.get("kind", name))
    return ITEM_SOURCES.get(kind)(config, {**settings, "name": name} if kind in _NAMED else settings, tokens)


def read_item_sources(config: Settings) -> dict[str, Mapping[str, Any]]:
    """Read ``item_sources``: the settings of each source by its name.

    Raises:
        LongInterestError: if it is not a mapping of registered names to settings.
    """
    value = config["item_sources"]
    wanted = {} if value is None else value
    if not isinstance(wanted, dict) or not all(each is None or isinstance(each, dict) for each in wanted.values()):
        raise LongInterestError(
            f"item_sources must map names to settings, as {{image: {{file: x.npy}}}}; got {value!r}."
        )
    for name in wanted:
        if name == "text":
            raise LongInterestError("item_sources: text has its own settings (text_fields, ...). Leave it out.")
        ITEM_SOURCES.get(str((wanted[name] or {}).get("kind", name)))
        if not usable_name(str(name)):
            raise LongInterestError(f"item_sources: a source cannot be called {name!r}. Choose another name.")
    return {name: settings or {} for name, settings in wanted.items()}


class ReadyMatrix:
    """A source whose vectors are already made.

    Args:
        ready: the vectors.
    """

    def __init__(self, ready: ItemMatrix) -> None:
        self._ready = ready

    def __deepcopy__(self, memo: dict[int, Any]) -> "ReadyMatrix":
        """Return the same object, which never changes."""
        return self

    @property
    def width(self) -> int:
        """Columns of the matrix."""
        return self._ready.vectors.shape[1]

    def matrix(self) -> ItemMatrix:
        """The vectors."""
        return self._ready


def whitened(n_items: int, rows: Sequence[int], vectors: NDArray[np.floating], width: int) -> ItemMatrix:
    """Whiten the vectors of the given items and align them with the item ids.

    Args:
        n_items: number of items with the padding, ``N``.
        rows: internal ids of the items that have a vector.
        vectors: their vectors, [len(rows), E].
        width: columns to keep, ``W``.
    """
    whitening = Whitening.fit(vectors, width)
    table = torch.zeros(n_items, width)
    present = torch.zeros(n_items, dtype=torch.bool)
    table[rows] = torch.as_tensor(whitening.transform(vectors))
    present[rows] = True
    return ItemMatrix(
        table,
        present,
        torch.as_tensor(whitening.mean, dtype=torch.float32),
        torch.as_tensor(whitening.projection, dtype=torch.float32),
    )
