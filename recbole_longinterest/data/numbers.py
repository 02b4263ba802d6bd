"""Read columns in chunks, and locate a non-numeric value for an error message."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

CHUNK = 500_000  # rows read at once


def read_chunks(path: str, kinds: Mapping[str, str], separator: str, encoding: str | None) -> Iterator[pd.DataFrame]:
    """Read columns of an atomic file in chunks.

    Args:
        path: the file.
        kinds: ``name:type`` of each column -> pandas type.
        separator: separator of columns.
        encoding: encoding of the file.
    """
    options: dict[str, Any] = {"engine": "c" if len(separator) == 1 else "python"}
    if "float64" in kinds.values():
        options["float_precision"] = "round_trip"
    yield from pd.read_csv(
        path, sep=separator, usecols=list(kinds), dtype=dict(kinds), encoding=encoding, chunksize=CHUNK, **options
    )


def find_no_number(
    path: str, columns: Iterable[str], separator: str, encoding: str | None, seq_separator: str = " "
) -> str | None:
    """Locate the first value that is not a finite number.

    Args:
        path: an atomic file.
        columns: ``name:type`` of its columns; float columns are checked.
        separator: separator of columns.
        encoding: encoding of the file.
        seq_separator: separator of the numbers in a list.

    Returns:
        A sentence with row, column and value; None if all values are finite numbers or the file cannot be read.
    """
    numbers = [column for column in columns if column.rpartition(":")[2] in ("float", "float_seq")]
    if not numbers:
        return None
    try:
        for chunk in read_chunks(path, dict.fromkeys(numbers, "str"), separator, encoding):
            for column in numbers:
                for row, value in _first_wrong(chunk[column].dropna(), column, seq_separator):
                    return f"row {row + 1} has {value!r} as {column}, which is not a finite number."
    except ValueError:
        return None
    return None


def _first_wrong(cells: pd.Series, column: str, seq_separator: str) -> Iterator[tuple[int, str]]:
    if column.endswith("_seq"):
        for row, cell in cells.items():
            yield from ((row, part) for part in cell.split(seq_separator) if part and not _is_finite(part))
        return
    wrong = cells[~np.isfinite(pd.to_numeric(cells, errors="coerce").astype("float64"))]
    yield from wrong.head(1).items()


def _is_finite(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
