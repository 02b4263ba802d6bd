"""Reading `<dataset>.inter` in a small part of the memory that RecBole's reader takes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals
from recbole.utils import FeatureType

KINDS = [kind.value for kind in FeatureType]
CHUNK = 500_000  # rows read at once


def read_header(path: str, separator: str, encoding: str | None) -> list[tuple[str, str]]:
    """Names and types of a file's columns.

    Args:
        path: an atomic file.
        separator: between columns.
        encoding: of the file.

    Returns:
        (name, type) of each column.

    Raises:
        ValueError: for a column that is not ``name:type`` with one of RecBole's types.
    """
    with open(path, encoding=encoding) as file:  # noqa: PTH123 - RecBole's paths are strings
        head = file.readline().rstrip("\r\n")
    columns = []
    for column in head.split(separator):
        name, _, kind = column.partition(":")
        if not name or kind not in KINDS:
            raise ValueError(
                f"{path}: the first line must name each column as name:type with a type of {', '.join(KINDS)}; got "
                f"{column!r}. Check it, and field_separator ({separator!r})."
            )
        columns.append((name, kind))
    return columns


def read_columns(path: str, columns: Sequence[tuple[str, str]], separator: str, encoding: str | None) -> Any:  # noqa: ANN401
    """Columns of tokens and numbers; a token is held once, and an integer a row.

    The values are those of RecBole's reader (pandas' Python engine: 368 MB a million rows).

    Args:
        path: an atomic file.
        columns: (name, "token" or "float") of each column wanted, in the order of the file.
        separator: between columns, one character.
        encoding: of the file.

    Returns:
        A table with categorical and float64 columns.
    """
    kinds = {f"{name}:{kind}": "str" if kind == "token" else "float64" for name, kind in columns}
    parts: dict[str, list[Any]] = {column: [] for column in kinds}
    chunks = pd.read_csv(
        path,
        sep=separator,
        usecols=list(kinds),
        dtype=kinds,
        encoding=encoding,
        engine="c",
        float_precision="round_trip",
        chunksize=CHUNK,
    )
    for chunk in chunks:
        for column, kind in kinds.items():
            values = chunk[column]
            parts[column].append(values.astype("category").values if kind == "str" else values.to_numpy())
    join = {"str": union_categoricals, "float64": np.concatenate}
    return pd.DataFrame({column.rpartition(":")[0]: join[kind](parts[column]) for column, kind in kinds.items()})
