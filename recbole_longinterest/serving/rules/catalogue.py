"""Item attributes for rules: categories, and columns of an item table such as price and brand."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.tokens import token_of
from recbole_longinterest.serving.new_items import read_items
from recbole_longinterest.serving.served import Served

if TYPE_CHECKING:
    import pandas as pd

CATEGORY, ITEM = "category", "item"


@dataclass(frozen=True)
class Groups:
    """Values of an attribute by item: item ``i`` has ``codes[starts[i]:starts[i + 1]]``.

    Attributes:
        names: value names by code.
        starts: int64 [N + 1].
        codes: int64 [n].
    """

    names: list[str]
    starts: NDArray[np.int64]
    codes: NDArray[np.int64]

    @classmethod
    def of(cls, values: Sequence[Sequence[str]]) -> "Groups":
        """Build from one list of values per item."""
        code: dict[str, int] = {}
        codes = [code.setdefault(name, len(code)) for names in values for name in dict.fromkeys(names)]
        lengths = [len(set(names)) for names in values]
        return cls(list(code), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), np.array(codes, np.int64))

    @cached_property
    def owners(self) -> NDArray[np.int64]:
        """The item of each code, [n]."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def of_item(self, item: int) -> list[int]:
        """Return the codes of one item."""
        return self.codes[self.starts[item] : self.starts[item + 1]].tolist()

    def having(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """Return a mask of the items that have one of the given values, [N]."""
        wanted = set(names)
        return self.with_codes(np.array([code for code, name in enumerate(self.names) if name in wanted], np.int64))

    def with_codes(self, codes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return a mask of the items that have one of the given codes, [N]."""
        chosen = np.zeros(len(self.names), dtype=bool)
        chosen[codes] = True
        out = np.zeros(len(self.starts) - 1, dtype=bool)
        out[self.owners[chosen[self.codes]]] = True
        return out


class Catalogue:
    """The items of a model by internal id, with their attributes; row 0 is the padding.

    Args:
        served: the model.
        columns: further attributes, one value per item: a text, a list of texts, a number, or None.
    """

    def __init__(self, served: Served, columns: Mapping[str, Sequence[Any]] | None = None) -> None:
        self.tokens = served.items.tokens
        self.item_id = {token: i for i, token in enumerate(self.tokens) if i}
        self._categories = served.items.categories
        self._columns = dict(columns or {})
        self._groups: dict[str, Groups] = {}
        self._numbers: dict[str, NDArray[np.float64]] = {}

    def __len__(self) -> int:
        """Number of rows, including the padding."""
        return len(self.tokens)

    @property
    def attributes(self) -> list[str]:
        """Names that conditions may use."""
        return list(dict.fromkeys([ITEM, *([CATEGORY] if any(self._categories) else []), *self._columns]))

    def ids(self, tokens: Sequence[str]) -> NDArray[np.int64]:
        """Return the internal ids of the known tokens."""
        found = (self.item_id.get(token_of(token, self.item_id), 0) for token in tokens)
        return np.array([item for item in found if item], dtype=np.int64)

    def groups(self, attribute: str) -> Groups:
        """Return the values of an attribute other than ``item``."""
        if attribute not in self._groups:
            if attribute in self._columns:
                values = [_texts(value) for value in self._columns[attribute]]
            else:
                values = [list(names) for names in self._categories]
            self._groups[attribute] = Groups.of(values)
        return self._groups[attribute]

    def numbers(self, attribute: str) -> NDArray[np.float64]:
        """Return an attribute as numbers, NaN for missing values, [N].

        Raises:
            LongInterestError: for an attribute that is not numeric.
        """
        if attribute not in self._numbers:
            values = self._columns.get(attribute)
            if values is None:
                raise LongInterestError(f"{attribute} has no numbers, so min and max cannot be used")
            self._numbers[attribute] = np.array([_number(value, attribute) for value in values])
        return self._numbers[attribute]


def read_columns(path: Path, served: Served, item: str | None = None) -> dict[str, list[Any]]:
    """Read the columns of an item table by internal id.

    Args:
        path: ``.parquet``, ``.csv`` with a header, or RecBole's ``.item``.
        served: the model; rows of unknown items are ignored.
        item: name of the token column; None for the training's name.

    Returns:
        A list for each column, with None for items without a row or a value.

    Raises:
        LongInterestError: for a file that cannot be read, lacks the token column, or has an item twice.
    """
    name = item or served.fields["item"]
    table = _read_parquet(path) if path.suffix in (".parquet", ".pq") else read_items(path, _named(served, name))
    if name not in table:
        raise LongInterestError(f"{path} has no column {name}; its columns are {', '.join(map(str, table))}")
    known = {token: i for i, token in enumerate(served.items.tokens) if i}
    places = [known.get(token_of(token, known), 0) for token in table[name]]
    twice, times = max(Counter(place for place in places if place).items(), key=lambda pair: pair[1], default=(0, 0))
    if times > 1:
        raise LongInterestError(f"{path} has the item {served.items.tokens[twice]} more than once")
    columns: dict[str, list[Any]] = {}
    for column in map(str, table):
        if column == name:
            continue
        values: list[Any] = [None] * len(served.items.tokens)
        for place, value in zip(places, table[column].tolist(), strict=True):
            values[place] = value
        values[0] = None
        columns[column] = values
    return columns


def _named(served: Served, item: str) -> Served:
    return replace(served, fields={**served.fields, "item": item})


def _read_parquet(path: Path) -> "pd.DataFrame":
    import pandas as pd  # late: not needed for rules without a table
    import pyarrow as pa

    if not path.is_file():
        raise LongInterestError(f"The item file {path} does not exist.")
    try:
        return pd.read_parquet(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise LongInterestError(f"{path} cannot be read: {' '.join(str(error).split())[:300]}") from error


def _texts(value: Any) -> list[str]:  # noqa: ANN401 - a cell of any table
    """Return the values of a cell: the parts of a list, or one text; booleans as "true" and "false"."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [text for part in value for text in _texts(part)]
    if value is None or value == "" or value != value:  # NaN is not itself
        return []
    if isinstance(value, (bool, np.bool_)):
        return [str(value).lower()]
    if isinstance(value, float) and value.is_integer():
        return [str(int(value))]
    return [str(value)]


def _number(value: Any, attribute: str) -> float:  # noqa: ANN401
    if value is None or value == "" or value != value:
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        raise LongInterestError(f"{attribute} has values that are not numbers, such as {value!r:.40}") from None
