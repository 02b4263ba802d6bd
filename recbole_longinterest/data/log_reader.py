"""Read `<dataset>.inter` with a fraction of the memory and time that RecBole's reader needs."""

import mmap
import re
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
from pandas.api.types import union_categoricals

from recbole_longinterest.common.atomic_files import check_lines, without_mark
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.token_codes import TokenCodes
from recbole_longinterest.data.numbers import find_no_number, read_chunks

BLOCK = 2**24  # bytes parsed at once
AHEAD = 2  # parsed blocks that wait for the thread that numbers their tokens
MISSING = (  # what pandas reads as a missing value
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"),
    *("NULL", "NaN", "None", "n/a", "nan", "null"),
)


def read_columns(path: str, columns: Sequence[tuple[str, str]], separator: str, encoding: str | None) -> pd.DataFrame:
    """Read columns of tokens and numbers. Each distinct token is stored once, with an integer per row.

    The values equal those of RecBole's reader (pandas' Python engine, which takes 368 MB per million rows).

    Args:
        path: an atomic file.
        columns: (name, "token" or "float") of each requested column, in the order of the file.
        separator: separator of columns, one character.
        encoding: encoding of the file.

    Returns:
        A table with categorical and float64 columns.

    Raises:
        ValueError: if a number is not finite, a value is not in the encoding, or a quoted value contains a line break.
    """
    table = _read_by_pyarrow(path, columns, separator) if without_mark(encoding) == without_mark(None) else None
    return _read_by_pandas(path, columns, separator, encoding) if table is None else table


def _read_by_pyarrow(path: str, columns: Sequence[tuple[str, str]], separator: str) -> pd.DataFrame | None:
    """Read a UTF-8 file by pyarrow, in half the time; None if pandas has to read it, or to say what is wrong.

    Both read the same if :func:`_read_alike`. pyarrow refuses rows with too few or too many values; pandas may accept
    them.
    """
    kinds = {f"{name}:{kind}": kind for name, kind in columns}
    types = {column: pa.large_string() if kind == "token" else pa.float64() for column, kind in kinds.items()}
    tokens = {column: TokenCodes() for column, kind in kinds.items() if kind == "token"}
    numbers: dict[str, list[Any]] = {column: [] for column, kind in kinds.items() if kind == "float"}
    if len(separator.encode()) != 1 or not kinds or not _read_alike(path):
        return None

    def keep(batch: Any) -> bool:  # noqa: ANN401 - a pyarrow RecordBatch
        """Add a block to the columns; False if a number is infinite."""
        for column, codes in tokens.items():
            codes.add(batch.column(column).dictionary_encode())
        for column, parts in numbers.items():
            parts.append(batch.column(column).to_numpy(zero_copy_only=False))
        return not any(np.isinf(parts[-1]).any() for parts in numbers.values())

    def whole(column: str) -> Any:  # noqa: ANN401
        if column in numbers:
            return np.concatenate(numbers.pop(column) or [np.zeros(0)])
        rows, names = tokens.pop(column).joined()
        return pd.Categorical.from_codes(rows, categories=pd.Index(names.to_numpy(zero_copy_only=False), dtype="str"))

    try:
        with (
            pa.csv.open_csv(
                path,
                read_options=pa.csv.ReadOptions(block_size=BLOCK),
                parse_options=pa.csv.ParseOptions(delimiter=separator, quote_char=False),
                convert_options=pa.csv.ConvertOptions(
                    column_types=types, include_columns=list(types), null_values=MISSING, strings_can_be_null=True
                ),
            ) as batches,
            ThreadPoolExecutor(1) as pool,  # pyarrow works without Python's lock, so the next block is parsed meanwhile
        ):
            waiting: deque[Future[bool]] = deque()
            for batch in batches:
                waiting.append(pool.submit(keep, batch))
                if len(waiting) > AHEAD and not waiting.popleft().result():
                    return None
            if not all(done.result() for done in waiting):
                return None
    except pa.ArrowException:
        return None
    with ThreadPoolExecutor(2) as pool:
        table = dict(zip((name for name, _ in columns), pool.map(whole, kinds), strict=True))
    return pd.DataFrame(table, copy=False)  # one block per column, so that each can be freed separately


def _read_alike(path: str) -> bool:
    """Whether pyarrow and pandas read a file alike: it has no quotes, zero bytes or stray carriage returns."""
    if not Path(path).stat().st_size:
        return False
    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        if whole.find(b'"') >= 0 or whole.find(b"\0") >= 0:
            return False
        return whole.find(b"\r") < 0 or re.search(rb"\r(?!\n)", whole) is None


def _read_by_pandas(
    path: str, columns: Sequence[tuple[str, str]], separator: str, encoding: str | None
) -> pd.DataFrame:
    """Read a file by pandas."""
    kinds = {f"{name}:{kind}": "str" if kind == "token" else "float64" for name, kind in columns}
    parts: dict[str, list[Any]] = {column: [] for column in kinds}
    rows = 0
    try:
        for chunk in read_chunks(path, kinds, separator, encoding):
            if not isinstance(chunk.index, pd.RangeIndex):  # pandas made an index of surplus columns
                raise LongInterestError("its rows have more values than its first line names. Name every column.")
            rows += len(chunk)
            for column, kind in kinds.items():
                values = chunk[column]
                if kind != "str" and np.isinf(values).any():
                    raise LongInterestError(f"{column} has a value that is not finite.")  # caught below
                parts[column].append(values.astype("category").values if kind == "str" else values.to_numpy())
    except ValueError as error:  # pandas raises ValueError, too
        why = find_no_number(path, kinds, separator, encoding) or " ".join(str(error).split())
        raise LongInterestError(f"{path} cannot be read: {why}") from error
    check_lines(path, rows, separator, encoding)
    join = {"str": union_categoricals, "float64": np.concatenate}
    return pd.DataFrame({column.rpartition(":")[0]: join[kind](parts[column]) for column, kind in kinds.items()})
