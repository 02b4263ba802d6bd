"""Events of a data set as a Parquet file, ``<name>.inter.parquet``, in place of RecBole's ``<name>.inter``.

Columns have types: strings (dictionary-encoded or not) are tokens, and numbers are floats. Column names have no type
suffix. Null is a missing value, like an empty cell of the text file.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_longinterest.common.errors import LongInterestError

if TYPE_CHECKING:
    import pyarrow.parquet

PARQUET_EVENTS = ".inter.parquet"


def events_file(folder: Path, name: str) -> Path:
    """Return the file of a data set's events: the Parquet file if it exists, else RecBole's, which may be missing.

    Args:
        folder: folder of the data set.
        name: name of the data set.

    Raises:
        LongInterestError: if both exist, because they may differ.
    """
    text, parquet = folder / f"{name}.inter", folder / f"{name}{PARQUET_EVENTS}"
    if text.is_file() and parquet.is_file():
        raise LongInterestError(f"{folder} has {text.name} and {parquet.name}. Delete the one that is out of date.")
    return parquet if parquet.is_file() else text


def is_parquet(file: Path) -> bool:
    """Whether a file of events is a Parquet file, judged by its name."""
    return file.name.endswith(PARQUET_EVENTS)


def refuse_parquet(folder: Path, name: str, what: str) -> None:
    """Raise an error for a task that reads only RecBole's text files.

    Args:
        folder: folder of the data set.
        name: name of the data set.
        what: the task, as the message names it: ``"An update"``.

    Raises:
        LongInterestError: if the events are a Parquet file.
    """
    file = events_file(folder, name)
    if is_parquet(file):
        raise LongInterestError(
            f"{what} needs {name}.inter, but {folder} has {file.name}. Prepare the data with --format inter."
        )


def read_parquet_header(path: Path) -> list[tuple[str, str]]:
    """Read the names and types of the columns.

    Args:
        path: a Parquet file.

    Returns:
        (name, ``"token"`` or ``"float"``) of each column.

    Raises:
        LongInterestError: for a file that cannot be read, two columns of one name, or a column of another type.
    """
    import pyarrow as pa  # only data sets of Parquet files need it

    file = _open(path)
    columns: list[tuple[str, str]] = []
    for field in file.schema_arrow:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            columns.append((field.name, "token"))
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
            columns.append((field.name, "float"))
        else:
            raise LongInterestError(
                f"{path}: the column {field.name} holds {field.type}. Columns must hold strings (tokens) or numbers; "
                "write times as seconds."
            )
        if field.name in dict(columns[:-1]):
            raise LongInterestError(f"{path} has two columns named {field.name}. Keep only one of them.")
    file.close()
    return columns


def _open(path: Path, tokens: Sequence[str] = ()) -> "pyarrow.parquet.ParquetFile":
    import pyarrow as pa  # only data sets of Parquet files need it
    import pyarrow.parquet

    try:
        return pa.parquet.ParquetFile(path, read_dictionary=list(tokens))
    except (pa.ArrowException, OSError) as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> LongInterestError:
    why = " ".join(str(error).split()).rstrip(".")
    return LongInterestError(f"{path} is not a Parquet file that can be read: {why}. Prepare it again.")


def count_rows(path: Path) -> int:
    """Number of rows of a Parquet file."""
    with _open(path) as file:
        return int(file.metadata.num_rows)


def read_parquet_parts(path: Path, name: str, kind: str) -> Iterator[Any]:
    """Read one column row group by row group.

    Args:
        path: a Parquet file.
        name: name of the column.
        kind: ``"token"`` or ``"float"``, from :func:`read_parquet_header`.

    Yields:
        pyarrow's DictionaryArrays for tokens, float64 arrays for numbers, both with nulls, [rows of the group].

    Raises:
        LongInterestError: for a file that cannot be read, or a whole number that float64 cannot represent.
    """
    import pyarrow as pa  # only data sets of Parquet files need it

    with _open(path, [name] if kind == "token" else []) as file:
        for group in range(file.num_row_groups):
            try:
                column = file.read_row_group(group, columns=[name]).column(0)
                for chunk in column.chunks:
                    if kind == "float":
                        yield chunk.cast(pa.float64())
                    elif pa.types.is_dictionary(chunk.type):
                        yield chunk
                    else:
                        yield chunk.dictionary_encode()
            except (pa.ArrowException, OSError) as error:
                raise _broken(path, error) from error
