"""Item vectors in place of encoded texts: read from a file, or loaded by RecBole."""

from collections.abc import Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.item_sources import whitened
from recbole_longinterest.nn.sources import ItemMatrix
from recbole_longinterest.text.vectors import read_vectors


class ItemVectors:
    """Item vectors. They are read and whitened once, at the first call of :meth:`matrix`.

    Items without a vector are treated as items without a text. A copy is the same object, as for
    :class:`~recbole_longinterest.data.item_texts.ItemTexts`.

    Args:
        tokens: raw item tokens by internal id; ``tokens[0]`` is the padding.
        text_dim: columns of the whitened matrix.
        name: path of the file, or name of a field of ``preload_weight``.
        item_field: name of the column of item tokens in a .parquet file.
        preloaded: the vectors that RecBole loaded, [N, dim], zero for items without one; None to read the file.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        text_dim: int,
        name: str,
        item_field: str,
        preloaded: NDArray[np.floating] | None = None,
    ) -> None:
        self.tokens = [str(token) for token in tokens]
        self.text_dim = text_dim
        self.name = name
        self.item_field = item_field
        self.preloaded = preloaded
        self._matrix: ItemMatrix | None = None

    @classmethod
    def from_config(
        cls,
        config: Settings,
        tokens: Sequence[str],
        preloaded: dict[str, NDArray[np.floating]],
    ) -> "ItemVectors":
        """Make the object for ``text_vectors``: a field of ``preload_weight``, or else a file.

        Args:
            config: RecBole's config.
            tokens: raw item tokens by internal id.
            preloaded: vectors that RecBole loaded, by field.
        """
        name = str(config["text_vectors"])
        return cls(tokens, config["text_dim"], name, config["ITEM_ID_FIELD"], preloaded.get(name))

    @property
    def width(self) -> int:
        """Columns of the matrix."""
        return self.text_dim

    def to_cache(self) -> list[str]:
        """Content for a data set cache: the tokens. The vectors are read again."""
        return self.tokens

    def __deepcopy__(self, memo: dict[int, Any]) -> "ItemVectors":
        """Return the same object, which never changes, so that the matrix is made once."""
        return self

    def matrix(self) -> ItemMatrix:
        """Read the vectors, whiten them and align them to item ids.

        Raises:
            ValueError: if the vectors cannot be read, or no item has one.
        """
        if self._matrix is None:
            rows, vectors = self.rows()
            items = len(self.tokens) - 1
            if not len(rows):
                raise LongInterestError(
                    f"Not one of the {items} items has a vector in {self.name} (text_vectors). Check that its item "
                    "tokens are those of the .inter file, or set text_features: off."
                )
            missing = items - len(rows)
            getLogger().info(
                f"{len(rows)} of {items} items have a vector in {self.name}"
                + (f"; the other {missing} have no text and share a learned vector." if missing else ".")
            )
            self._matrix = whitened(len(self.tokens), rows, vectors, self.text_dim)
        return self._matrix

    def rows(self) -> tuple[list[int], NDArray[np.float32]]:
        """Ids of the items that have a vector, and their vectors before whitening, [n, dim]."""
        return self._file_rows() if self.preloaded is None else self._preloaded_rows(self.preloaded)

    def _file_rows(self) -> tuple[list[int], NDArray[np.float32]]:
        """Ids of the items in the file, and their vectors; if an item has two vectors, the first one counts."""
        tokens, vectors = read_vectors(Path(self.name).expanduser(), self.item_field)
        place: dict[str, int] = {}
        for row, token in enumerate(tokens):
            place.setdefault(token, row)
        rows = [i for i, token in enumerate(self.tokens) if i and token in place]
        return rows, vectors[[place[self.tokens[i]] for i in rows]]

    def _preloaded_rows(self, weights: NDArray[np.floating]) -> tuple[list[int], NDArray[np.float32]]:
        """Ids and vectors from RecBole's table, in which an item without a vector has a row of zeros."""
        table = np.asarray(weights, dtype=np.float32).reshape(len(weights), -1)
        if len(table) != len(self.tokens):
            raise LongInterestError(
                f"text_vectors names the field {self.name} with {len(table) - 1} tokens, and there are "
                f"{len(self.tokens) - 1} items. Set alias_of_item_id: [{self.name}]."
            )
        rows = [int(i) for i in np.flatnonzero(table.any(axis=1)) if i]
        return rows, table[rows]
