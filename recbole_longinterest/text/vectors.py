"""Read item vectors from a file, in place of an encoder. Nothing is unpickled."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.packages import DOCTOR
from recbole_longinterest.text.folder import one_line

FORMS = (
    ".npy (rows of numbers, and the item tokens, one per line, in a .txt file with the same name), .safetensors (a "
    "tensor for each item token, or one table and such a .txt file) or .parquet (item tokens and a column of lists)"
)


class VectorFileError(LongInterestError):
    """A file that cannot be read as item vectors."""


def read_vectors(path: Path, item_field: str) -> tuple[list[str], NDArray[np.float32]]:
    """Read item tokens and their vectors.

    Args:
        path: a .npy, .safetensors or .parquet file.
        item_field: name of the column of item tokens in a .parquet file.

    Returns:
        Tokens, and float32 [n, dim]. An item with two rows occurs twice.

    Raises:
        VectorFileError: (a ValueError) if the file is missing, damaged, in another format, or has NaN or infinity.
    """
    readers = {".npy": _npy, ".safetensors": _safetensors, ".parquet": _parquet}
    if path.suffix not in readers:
        raise VectorFileError(f"text_vectors must be a file {FORMS}; got {path}.")
    if not path.is_file():
        raise VectorFileError(f"text_vectors names the file {path}, which does not exist. Write it, or unset the key.")
    try:
        tokens, table = readers[path.suffix](path, item_field)
    except VectorFileError:
        raise
    except Exception as error:  # numpy, safetensors and arrow raise various errors for a damaged file
        raise VectorFileError(
            f"{path} cannot be read as vectors ({one_line(error)}); pickles are not read. text_vectors must be a "
            f"file {FORMS}."
        ) from error
    if table.ndim != 2 or table.dtype.kind not in "fiu" or not table.shape[1]:
        raise VectorFileError(
            f"{path} must hold a row of numbers for every item; it holds {table.dtype} of shape {table.shape}."
        )
    if len(tokens) != len(table):
        raise VectorFileError(
            f"{path} has {len(table)} vectors and {len(tokens)} item tokens. Write a token for every vector, in order."
        )
    vectors = table.astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(wrong):
        raise VectorFileError(
            f"{path} holds NaN or infinity for {len(wrong)} of {len(tokens)} items, the first {tokens[wrong[0]]}. "
            "Leave items without a vector out of the file."
        )
    return tokens, vectors


def _npy(path: Path, item_field: str) -> tuple[list[str], NDArray]:
    return _tokens_beside(path), np.load(path, allow_pickle=False)


def _safetensors(path: Path, item_field: str) -> tuple[list[str], NDArray]:
    from safetensors.torch import load_file  # torch's reader supports bfloat16

    tensors = {name: tensor.float().numpy() for name, tensor in load_file(path).items()}
    tables = [table for table in tensors.values() if table.ndim == 2]
    if len(tensors) == len(tables) == 1:
        return _tokens_beside(path), tables[0]
    return list(tensors), np.stack(list(tensors.values()))


def _parquet(path: Path, item_field: str) -> tuple[list[str], NDArray]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise VectorFileError(
            f"{path} needs the package pyarrow: pip install pyarrow, or save the vectors as .npy or .safetensors "
            f"{DOCTOR}."
        ) from error
    table = parquet.read_table(path)
    others = [name for name in table.column_names if name != item_field]
    if item_field not in table.column_names or len(others) != 1:
        raise VectorFileError(
            f"{path} must have two columns, {item_field} (the ITEM_ID_FIELD) and one of lists; it has "
            f"{', '.join(table.column_names)}."
        )
    tokens, lists = [str(token) for token in table[item_field].to_pylist()], table[others[0]].combine_chunks()
    if not hasattr(lists, "value_lengths"):
        raise VectorFileError(f"{path}: {others[0]} must hold lists of numbers; it holds {lists.type}.")
    sizes = lists.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False)  # also for lists of fixed size
    odd = np.flatnonzero(sizes != sizes[0]) if len(sizes) else sizes
    if len(odd):
        raise VectorFileError(
            f"{path}: the vectors have different lengths: {tokens[0]} has {sizes[0]} and {tokens[odd[0]]} has "
            f"{max(int(sizes[odd[0]]), 0)}. Write vectors of the same length."
        )
    return tokens, lists.flatten().to_numpy(zero_copy_only=False).reshape(len(tokens), -1)


def _tokens_beside(path: Path) -> list[str]:
    """Read the item tokens from the .txt file next to a table."""
    file = path.with_suffix(".txt")
    if not file.is_file():
        raise VectorFileError(f"{path} needs its item tokens, one per line, in {file}, which does not exist. Write it.")
    lines = file.read_text("utf-8-sig").split("\n")
    return [line.rstrip("\r") for line in (lines if lines[-1] else lines[:-1])]
