"""Check the names and the memory use of a torch file before torch reads it.

torch's own check (``weights_only=True``) covers names but not memory: nested lists that each contain the next one twice
have 2^40 values in 1 KB, and a tensor of a few bytes may claim any shape. So the pickle is read once with stand-ins for
everything but numbers, texts, lists, tuples and dicts. The number of values, their depth and the tensors' bytes are
compared with the size of the file.
"""

import io
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO, ClassVar

import torch

from recbole_longinterest.common.errors import LongInterestError

MAX_DEPTH = 100
FREE_VALUES = 100_000  # values allowed in a file of any size
FREE_BYTES = 2**26  # bytes of tensors allowed in a file of any size
SHARED = 4  # bytes of tensors allowed per byte of the file: tied weights and averages share bytes
REBUILD = (
    "recbole_longinterest.plugin.runs.checkpoints.rebuild_config",
    "recbole_longinterest.checkpoints.rebuild_config",  # files written before version 0.2
)
"""Names under which a file may call :func:`recbole_longinterest.plugin.runs.checkpoints.rebuild_config`."""
TENSORS = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3")
CALLS = {
    *(*REBUILD, *TENSORS, "collections.OrderedDict", "torch._utils._rebuild_parameter"),
    *("torch._utils._rebuild_sparse_tensor", "torch.serialization._get_layout", "torch.Size", "torch.device"),
}
ITEM_BYTES = {
    "torch.storage.UntypedStorage": 1,
    **{f"torch.{name}Storage": 1 for name in ("Bool", "Byte", "Char")},
    **{f"torch.{name}Storage": 2 for name in ("BFloat16", "Half", "Short")},
    **{f"torch.{name}Storage": 4 for name in ("Float", "Int")},
    **{f"torch.{name}Storage": 8 for name in ("Double", "Long", "ComplexFloat")},
    "torch.ComplexDoubleStorage": 16,
}
PICKLE = "data.pkl"
PLAIN = (type(None), bool, int, float, str)


class NameRefused(LongInterestError):
    """A pickle names a function or class that is not allowed.

    Attributes:
        name: full name of the function or class.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"it names {name}")
        self.name = name


class ContentRefused(LongInterestError):
    """A file is malformed, or declares more than its size can hold. The caller begins the sentence of the message."""


def check_file(file: BinaryIO) -> None:
    """Check an open file before ``torch.load``.

    Args:
        file: open for reading; its position moves.

    Raises:
        NameRefused: if the file names a function or class that is not allowed.
        ContentRefused: if the file is malformed, or declares more than its size can hold.
        Exception: any of many types, if the file is not a torch archive or is broken.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if not zipfile.is_zipfile(file):
        file.seek(0)
        stream = io.BytesIO(file.read(FREE_BYTES))  # a plain pickle gets the better message about its names
        while stream.tell() < len(stream.getbuffer()):
            _Reader(stream, {}).load()
        raise pickle.UnpicklingError("not an archive of torch")
    with zipfile.ZipFile(file) as archive:
        records = _records(archive, size)
        (name,) = (name for name in records if name.endswith(f"/{PICKLE}") and name.count("/") == 1)
        content = archive.read(name)
    folder = name.removesuffix(PICKLE)
    sizes = {each.removeprefix(f"{folder}data/"): length for each, length in records.items()}
    root = _Reader(io.BytesIO(content), sizes).load()
    _Count(len(content), size).of(root, 0)


def _records(archive: zipfile.ZipFile, size: int) -> dict[str, int]:
    """Size of each record of an archive; raises an error unless records are uncompressed and their names unique."""
    records: dict[str, int] = {}
    for entry in archive.infolist():
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ContentRefused(f"its record {entry.filename} is compressed, which torch does not do")
        records[entry.filename] = entry.file_size
    if len({name.lower() for name in records}) < len(archive.infolist()):  # torch ignores case in names
        raise ContentRefused("it has two records with the same name")
    if sum(records.values()) > size:
        raise ContentRefused(f"its records claim {sum(records.values()):,} bytes, but the file has {size:,}")
    if min(entry.header_offset for entry in archive.infolist()):  # readers may disagree about the position of a record
        raise ContentRefused("it does not begin with its first record")
    return records


class _Name:
    """Stand-in for a class or function that a pickle names."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: Any) -> Any:  # noqa: ANN401
        if self.name in TENSORS:
            return _tensor(*args[:4])
        if self.name == "torch._utils._rebuild_parameter":
            return args[0]
        if self.name == "collections.OrderedDict" and not args:
            return _Table()
        if self.name not in CALLS:
            raise NameRefused(self.name)
        return _Call(args)


class _Table(dict[Any, Any]):
    """Stand-in for an ordered dict, with its attributes: a state dict has versions there."""

    state: Any = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Call:
    """Stand-in for the result of a call."""

    def __init__(self, args: tuple[Any, ...]) -> None:
        self.args = args


class _Storage:
    """Stand-in for a tensor's storage."""

    def __init__(self, length: int, item_bytes: int) -> None:
        self.length, self.item_bytes = length, item_bytes


class _Tensor:
    """Stand-in for a tensor."""

    def __init__(self, size: int) -> None:
        self.size = size


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any) -> _Tensor:  # noqa: ANN401 - anything may be in a file
    if not isinstance(storage, _Storage) or len(shape) != len(stride):
        raise ContentRefused("it has a tensor without numbers")
    if not all(type(number) is int and number >= 0 for number in (offset, *shape, *stride)):
        raise ContentRefused("it has a tensor with a negative size")
    length = 1
    for number in shape:
        length *= number
    last = offset + sum((number - 1) * step for number, step in zip(shape, stride, strict=True)) if length else 0
    if length > storage.length or last >= max(storage.length, 1):
        raise ContentRefused(f"it has a tensor of shape {tuple(shape)!s:.80} but {storage.length:,} numbers for it")
    return _Tensor(length * storage.item_bytes)


class _Reader(pickle._Unpickler):  # the C version allocates memory for any memo index
    """Reads a pickle with stand-ins, without running any code in it."""

    dispatch: ClassVar[dict[int, Any]] = {
        code: read
        for code, read in pickle._Unpickler.dispatch.items()
        if bytes([code]) not in (pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER, pickle.PERSID)
    }

    def __init__(self, content: io.BytesIO, sizes: Mapping[str, int]) -> None:
        super().__init__(content, encoding="utf-8")
        self.sizes = sizes

    def find_class(self, module: str, name: str) -> _Name:
        """Return a stand-in for an allowed name."""
        full = f"{module}.{name}"
        of_torch = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if full not in CALLS and full not in ITEM_BYTES and not of_torch:
            raise NameRefused(full)
        return _Name(full)

    def get_extension(self, code: int) -> None:
        """Reject extension codes, whose meaning depends on the process."""
        raise NameRefused(f"extension {code}")

    def persistent_load(self, pid: Any) -> _Storage:  # noqa: ANN401
        """Return a stand-in for a storage record."""
        kind, name, key, _, length = pid
        item_bytes = ITEM_BYTES[name.name]
        if kind != "storage" or type(length) is not int or not 0 <= length * item_bytes <= self.sizes[key]:
            raise ContentRefused(f"its record {key!s:.40} is shorter than the numbers to read from it")
        return _Storage(length, item_bytes)


class _Count:
    """Counts the values, depth and tensor bytes of a structure as if nothing in it were shared."""

    def __init__(self, pickled: int, file: int) -> None:
        self.values, self.bytes = max(FREE_VALUES, pickled), FREE_BYTES + SHARED * file
        self.known: dict[int, tuple[int, int, int]] = {}  # id of a container -> height, values, bytes

    def of(self, value: object, depth: int) -> tuple[int, int, int]:
        """Height, number of values and bytes of a value at a depth."""
        if isinstance(value, _Tensor):
            return 0, 1, value.size
        inside = self.inside(value)
        if inside is None:
            return 0, 1, 0
        found = self.known.get(id(value))
        if found is None:
            if depth > MAX_DEPTH:
                raise ContentRefused(f"it nests lists and dicts more than {MAX_DEPTH} deep")
            height, values, size = 0, 1 + len(inside), 0
            for part in inside:
                if type(part) in PLAIN:
                    continue
                below, more, bytes_inside = self.of(part, depth + 1)
                height, values, size = max(height, below), values + more - 1, size + bytes_inside
                if values > self.values:
                    raise ContentRefused(f"it describes over {self.values:,} values, more than its size can hold")
                if size > self.bytes:
                    raise ContentRefused(f"its tensors take over {self.bytes:,} bytes, more than its size can hold")
            found = self.known[id(value)] = height + 1, values, size
        if depth + found[0] > MAX_DEPTH + 1:
            raise ContentRefused(f"it nests lists and dicts more than {MAX_DEPTH} deep")
        return found

    def inside(self, value: object) -> list[Any] | tuple[Any, ...] | None:
        """Parts of a container; None for other values."""
        if isinstance(value, (list, tuple)):
            return value
        if isinstance(value, dict):
            return [*value, *value.values(), *([value.state] if isinstance(value, _Table) else ())]
        return value.args if isinstance(value, _Call) else None
