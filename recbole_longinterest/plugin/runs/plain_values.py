"""Convert values to plain data, which torch reads with ``weights_only=True``, and back.

Plain data is None, bool, int, float, str, tensors, and lists, tuples and dicts of them. Every other value is written as
a dict with a single key that starts with "#", and rebuilt from fixed tables: names in a file are never imported.
"""

import os
import re
import sys
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from recbole.data.interaction import Interaction
from recbole.utils import EvaluatorType, FeatureSource, FeatureType, InputType, KGDataLoaderState, ModelType
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError

ENUMS: dict[str, type[Enum]] = {
    kind.__name__: kind for kind in (ModelType, InputType, EvaluatorType, FeatureType, FeatureSource, KGDataLoaderState)
}
SPARSE_FORMATS = ("coo", "csr", "csc", "lil", "dok")
DEVICE = re.compile(r"[a-z]+(:\d+)?")
FREE_BYTES = 2**28  # memory that a value may always use
MAX_GROWTH = 256  # memory that a value may use per byte in the file
LIL_ROW = 128  # bytes of an empty row in the largest sparse format


class PlainError(LongInterestError):
    """A value has no plain form, or plain data are not valid."""


def to_plain(value: Any, where: str) -> Any:  # noqa: ANN401
    """Convert a value to its plain form.

    Args:
        value: None, bool, number, text, path, list, tuple, set, dict, RecBole's enums, torch's tensor and device,
            numpy's array and scalar, pandas' table and column, scipy's sparse matrix, RecBole's Interaction, and any
            nesting of these.
        where: name of the value, for the error.

    Raises:
        PlainError: if a value has no plain form; the message names it.
    """
    if value is None or isinstance(value, (bool, Tensor)):
        return value.detach() if isinstance(value, Tensor) else value
    if isinstance(value, Enum):
        if ENUMS.get(type(value).__name__) is not type(value):
            raise _no_plain_form(value, where)
        return {"#enum": [type(value).__name__, value.name]}
    if isinstance(value, np.generic):
        number = value.item()
        if isinstance(number, np.generic):  # longdouble has no Python type
            raise _no_plain_form(value, where)
        return to_plain(number, where)
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, str):  # interned, because pickles of equal states must be equal
        return sys.intern(str.__str__(value))
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (list, tuple)):
        items = [to_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
        return items if isinstance(value, list) else tuple(items)
    if scipy.sparse.issparse(value) and value.format in SPARSE_FORMATS:  # some are dicts too
        matrix = value.tocoo()
        parts = {name: to_plain(getattr(matrix, name), where) for name in ("data", "row", "col")}
        return {"#sparse": {"format": value.format, "shape": [int(size) for size in value.shape], **parts}}
    if isinstance(value, dict):
        return _plain_dict(value, where)
    if isinstance(value, (set, frozenset)):
        return {"#set": [to_plain(item, where) for item in sorted(value, key=repr)]}
    if isinstance(value, torch.device):
        return {"#device": str(value)}
    if isinstance(value, np.ndarray):
        return _plain_array(value, where)
    if isinstance(value, pd.Series):
        return {"#column": _plain_column(value, where)}
    if isinstance(value, pd.DataFrame):
        columns = [[to_plain(name, where), _plain_column(value[name], f"{where}.{name}")] for name in value]
        return {"#table": {"rows": len(value), "columns": columns, "index": _plain_index(value.index, where)}}
    if isinstance(value, Interaction):
        return {"#interaction": to_plain(value.interaction, where)}
    raise _no_plain_form(value, where)


def from_plain(plain: Any) -> Any:  # noqa: ANN401
    """Convert a plain form back to its value.

    Raises:
        PlainError: if :func:`to_plain` could not have made it.
    """
    if plain is None or type(plain) in (bool, int, float, str) or isinstance(plain, Tensor):
        return plain
    if type(plain) is list:
        return [from_plain(item) for item in plain]
    if type(plain) is tuple:
        return tuple(from_plain(item) for item in plain)
    if isinstance(plain, dict):
        tag = next(iter(plain), None)
        if len(plain) == 1 and isinstance(tag, str) and tag.startswith("#"):
            if tag not in _READERS:
                raise PlainError(f"{tag} is not among {', '.join(_READERS)}.")
            try:
                return _READERS[tag](plain[tag])
            except PlainError:
                raise
            except Exception as error:
                raise PlainError(f"The content of {tag} is broken: {error}") from error
        return {from_plain(key): from_plain(item) for key, item in plain.items()}
    raise PlainError(f"{type(plain).__name__} is not plain data.")


def _no_plain_form(value: object, where: str) -> PlainError:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return PlainError(
        f"{where} is of type {kind}, which a file cannot hold. "
        "Use numbers, text, lists, dicts, tensors, numpy arrays or pandas tables."
    )


def _plain_dict(value: dict[Any, Any], where: str) -> dict[Any, Any]:
    for key in value:
        if isinstance(key, str) and key.startswith("#") and len(value) == 1:
            raise PlainError(f"{where} has the single key {key!r}; keys that start with # are reserved.")
    return {to_plain(key, where): to_plain(item, f"{where}.{key}") for key, item in value.items()}


def _plain_array(value: np.ndarray, where: str) -> dict[str, Any]:
    kind = value.dtype.kind
    if kind in "biufc" and value.dtype.isnative:
        return {"#array": torch.from_numpy(np.array(value, order="C"))}
    if kind not in "OU":
        raise _no_plain_form(value, f"{where} (dtype {value.dtype})")
    flat = value.ravel().tolist()
    shape = [int(size) for size in value.shape]
    if kind == "U":
        return {"#texts": {"shape": shape, "items": [str(item) for item in flat]}}
    if flat and all(isinstance(item, np.ndarray) and item.ndim == 1 for item in flat):
        kinds = {item.dtype.kind if item.dtype.kind == "U" else item.dtype.str for item in flat}
        if len(kinds) == 1 and kinds != {"|O"}:
            lengths = torch.tensor([len(item) for item in flat])
            return {"#ragged": {"shape": shape, "lengths": lengths, "flat": _plain_array(np.concatenate(flat), where)}}
    return {"#objects": {"shape": shape, "items": [to_plain(item, where) for item in flat]}}


def _plain_column(column: pd.Series, where: str) -> dict[str, Any]:
    if isinstance(column.dtype, np.dtype):
        return {"dtype": "", "values": to_plain(column.to_numpy(), where)}
    if not isinstance(column.dtype, pd.StringDtype):
        raise _no_plain_form(column, f"{where} (dtype {column.dtype})")
    missing = column.isna().to_numpy(dtype=bool)
    texts = [None if gone else str(text) for gone, text in zip(missing, column, strict=True)]
    return {"dtype": "str", "values": texts}


def _plain_index(index: pd.Index, where: str) -> Any:  # noqa: ANN401
    if isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1:
        return None
    return to_plain(index.to_numpy(), where)


def _read_enum(plain: list[str]) -> Enum:
    kind, name = plain
    if kind not in ENUMS or name not in ENUMS[kind].__members__:
        raise PlainError(f"{kind}.{name} is not one of RecBole's constants.")
    return ENUMS[kind][name]


def _read_device(plain: str) -> torch.device:
    if not isinstance(plain, str) or not DEVICE.fullmatch(plain):
        raise PlainError(f"{plain!r} is not a device.")
    device = torch.device(plain)
    if device.type == "cpu":
        return device
    if device.type != "cuda" or not torch.cuda.is_available():
        return torch.device("cpu")  # written on a machine with another device
    return device if (device.index or 0) < torch.cuda.device_count() else torch.device("cuda")


def _read_texts(plain: dict[str, Any]) -> np.ndarray:
    texts = [str(item) for item in plain["items"]]
    width = 4 * max(map(len, texts), default=0)  # bytes per text in the array
    _check_size(width * len(texts), sum(map(len, texts)), "texts of very different lengths")
    return np.array(texts, dtype=np.str_).reshape(plain["shape"])


def _objects(items: list[Any], shape: list[int]) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):  # one by one, because numpy would make a matrix of equally long arrays
        array[index] = item
    return array.reshape(shape)


def _check_size(asked: int, given: int, what: str) -> None:
    """Raise an error for a value that would use far more memory than its part of the file."""
    if asked > FREE_BYTES + MAX_GROWTH * given:
        raise PlainError(f"{what} would take {asked:,} bytes of memory, but only {given:,} bytes of the file.")


def _read_ragged(plain: dict[str, Any]) -> np.ndarray:
    flat, lengths = from_plain(plain["flat"]), plain["lengths"]
    if int(lengths.min() if len(lengths) else 0) < 0 or int(lengths.sum()) != len(flat):
        raise PlainError(f"the lengths of its parts do not add up to its {len(flat):,} values.")
    return _objects(np.split(flat, lengths.cumsum(0)[:-1].tolist()), plain["shape"])


def _read_column(plain: dict[str, Any]) -> pd.Series:
    if plain["dtype"] == "str":
        return pd.Series(plain["values"], dtype="str")
    values = from_plain(plain["values"])
    return pd.Series(values, dtype=values.dtype)  # explicit, because pandas 3 turns objects into text


def _read_table(plain: dict[str, Any]) -> pd.DataFrame:
    columns = {from_plain(name): _read_column(column) for name, column in plain["columns"]}
    for name, column in columns.items():
        if len(column) != plain["rows"]:
            raise PlainError(f"the column {name} has {len(column):,} values, but the table has {plain['rows']:,} rows.")
    table = pd.DataFrame(columns, index=range(plain["rows"]))
    if plain["index"] is not None:
        table.index = pd.Index(from_plain(plain["index"]))
    return table


def _read_sparse(plain: dict[str, Any]) -> Any:  # noqa: ANN401
    if plain["format"] not in SPARSE_FORMATS:
        raise PlainError(f"{plain['format']} is not among {', '.join(SPARSE_FORMATS)}.")
    data, row, col = (from_plain(plain[name]) for name in ("data", "row", "col"))
    _check_size(LIL_ROW * sum(plain["shape"]), data.nbytes, "rows and columns without entries")
    return scipy.sparse.coo_matrix((data, (row, col)), shape=tuple(plain["shape"])).asformat(plain["format"])


_READERS: dict[str, Callable[[Any], Any]] = {
    "#enum": _read_enum,
    "#device": _read_device,
    "#set": lambda plain: {from_plain(item) for item in plain},
    "#array": lambda plain: plain.cpu().numpy(),  # map_location may be a GPU
    "#texts": _read_texts,
    "#objects": lambda plain: _objects([from_plain(item) for item in plain["items"]], plain["shape"]),
    "#ragged": _read_ragged,
    "#column": _read_column,
    "#table": _read_table,
    "#interaction": lambda plain: Interaction(from_plain(plain)),
    "#sparse": _read_sparse,
}
