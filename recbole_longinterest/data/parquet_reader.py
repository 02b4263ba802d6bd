"""Read the events of a Parquet data set column by column into the table that RecBole uses."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from recbole.utils import FeatureSource, FeatureType

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.parquet_events import count_rows, read_parquet_header, read_parquet_parts
from recbole_longinterest.common.token_codes import TokenCodes

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


def load_parquet(dataset: "Dataset", path: str) -> pd.DataFrame | None:
    """Load the events of a Parquet file and register their columns, as RecBole's ``_load_feat`` does for text files.

    Args:
        dataset: the data set; ``load_col`` and ``unload_col`` of its config choose the columns.
        path: the file.

    Returns:
        A table with categorical and float64 columns, equal to that of the text file; None if no column is chosen.

    Raises:
        LongInterestError: for a file that cannot be read, a missing column, an event without user, item or time, or a
            number that is not finite.
    """
    wanted, unwanted = dataset._get_load_and_unload_col(FeatureSource.INTERACTION)
    if wanted == set():
        return None
    header = read_parquet_header(Path(path))
    needed = (dataset.uid_field, dataset.iid_field, dataset.time_field)
    absent = [field for field in needed if field not in dict(header) and (wanted is None or field in wanted)]
    if wanted is None and absent == [dataset.time_field]:
        absent = []  # code that needs times raises its own error later
    if absent:
        raise LongInterestError(
            f"{path} has no column {', '.join(absent)}; its columns are {', '.join(dict(header))}. Name the right one "
            "as USER_ID_FIELD, ITEM_ID_FIELD or TIME_FIELD and list it in load_col."
        )
    columns = [
        (name, kind)
        for name, kind in header
        if (wanted is None or name in wanted) and (unwanted is None or name not in unwanted)
    ]
    for field in (dataset.uid_field, dataset.iid_field):
        if dict(columns).get(field) == "float":
            raise LongInterestError(f"{path}: the column {field} holds numbers. Write it as strings.")
    if dict(columns).get(dataset.time_field) == "token":
        raise LongInterestError(f"{path}: the column {dataset.time_field} holds strings. Write it as seconds.")
    set_columns(dataset, columns)
    return read_parquet(path, columns, needed)


def set_columns(dataset: "Dataset", columns: Sequence[tuple[str, str]]) -> None:
    """Register the columns of the events with a data set: (name, ``"token"`` or ``"float"``) of each."""
    for name, kind in columns:
        dataset.field2source[name] = FeatureSource.INTERACTION
        dataset.field2type[name] = FeatureType(kind)
        dataset.field2seqlen[name] = 1
        if kind == "float":
            dataset.field2bucketnum[name] = 2


def read_parquet(path: str, columns: Sequence[tuple[str, str]], needed: Sequence[str]) -> pd.DataFrame:
    """Read columns one after another; each distinct token is stored once, and each row as an integer.

    Args:
        path: a Parquet file.
        columns: (name, "token" or "float") of each.
        needed: columns that must have a value in every row.

    Returns:
        A table with categorical and float64 columns.

    Raises:
        LongInterestError: see :func:`load_parquet`.
    """
    rows = count_rows(Path(path))
    table: dict[str, Any] = {}
    for name, kind in columns:
        table[name] = _tokens(path, name) if kind == "token" else _numbers(path, name, rows)
        if name in needed:
            gone = np.flatnonzero(table[name].codes < 0 if kind == "token" else np.isnan(table[name]))
            if len(gone):
                raise LongInterestError(
                    f"{path}: {len(gone)} of {rows} rows have no {name}, the first is row {gone[0] + 1}. Leave such "
                    "rows out."
                )
    return pd.DataFrame(table, copy=False)  # one block per column, so that each can be freed separately


def _tokens(path: str, name: str) -> pd.Categorical:
    tokens = TokenCodes()
    for part in read_parquet_parts(Path(path), name, "token"):
        tokens.add(part)
    codes, names = tokens.joined()
    empty = pc.index(names, "").as_py()
    if empty >= 0:  # an empty cell of a text file is a missing value, too
        codes = np.where(codes == empty, -1, codes - (codes > empty)).astype(np.int32)
        names = names.filter(pc.not_equal(names, ""))
    return pd.Categorical.from_codes(codes, categories=pd.Index(names.to_numpy(zero_copy_only=False), dtype="str"))


def _numbers(path: str, name: str, rows: int) -> np.ndarray:
    values, at = np.empty(rows), 0
    for part in read_parquet_parts(Path(path), name, "float"):
        numbers = part.to_numpy(zero_copy_only=False)  # null is NaN
        infinite = np.flatnonzero(np.isinf(numbers))
        if len(infinite):
            row = at + int(infinite[0])
            raise LongInterestError(f"{path}: row {row + 1} has {numbers[infinite[0]]} as {name}. Leave it empty.")
        values[at : at + len(numbers)] = numbers
        at += len(numbers)
    return values
