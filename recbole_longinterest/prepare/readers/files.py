"""Find input files in folders and zips, decompress them, and read them in blocks of whole lines."""

import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.notebook import Bar, progress_bar
from recbole_longinterest.prepare.readers.encodings import decoder_of, wide_encoding

BLOCK = 8 * 2**20  # bytes read at once
MAX_LINE = 64 * 2**20  # maximum bytes of a line
MAX_RATIO = 200  # maximum compression ratio; tables have 3 to 30
RATIO_COUNTS_FROM = 64 * 2**20  # unpacked bytes from which the ratio is checked
OPEN_BLOCKS = 4  # maximum number of blocks that a quoted value may span
LOOK_BACK = 1_000  # lines to search for the start of a quoted value at the end of a block
# An escaped quote inside a value, not a backslash before the closing quote.
ESCAPED_QUOTE = re.compile(rb'\\"[^,;\t|\r\n"]')
GZIP_MAGIC = b"\x1f\x8b"
PACKED = {  # first bytes of files that must be unpacked or exported first
    b"PK\x03\x04": "a zip with another file extension, or an Excel file",
    b"BZh": "packed by bzip2",
    b"\xfd7zXZ": "packed by xz",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"7z\xbc\xaf": "packed by 7-Zip",
    b"PAR1": "a Parquet file with another file extension",
}
UNREADABLE = (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile, NotImplementedError, RuntimeError, OSError)


@dataclass(frozen=True)
class RawFile:
    """One input file.

    Attributes:
        path: the file, or the zip that holds it.
        member: its name in the zip, None outside of one.
    """

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        """Return the name for messages."""
        return str(self.path) if self.member is None else f"{self.path}!{self.member}"

    @property
    def name(self) -> str:
        """File name in lower case, without folders and without ``.gz``."""
        return Path(self.member or self.path).name.lower().removesuffix(".gz")

    @property
    def suffix(self) -> str:
        """Last suffix of :attr:`name`, with the dot."""
        return Path(self.name).suffix

    def size(self) -> int:
        """Return the stored (compressed) size in bytes."""
        if self.member is None:
            return self.path.stat().st_size
        with zipfile.ZipFile(self.path) as archive:
            return archive.getinfo(self.member).compress_size


def gather(paths: Sequence[str | Path]) -> list[RawFile]:
    """List all files in the given files, folders and zips, in this order; files of a folder are sorted by name.

    Args:
        paths: files, folders or zips given by the user.

    Raises:
        ValueError: for a path that does not exist, a broken zip, or if no file is found.
    """
    found: list[RawFile] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.is_file() and not _hidden(file.relative_to(path)))
            found += [RawFile(file) for file in inside]
        elif not path.is_file():
            raise LongInterestError(f"There is no file or folder {path}.")
        elif path.suffix.lower() == ".zip":
            found += _members(path)
        else:
            found.append(RawFile(path))
    if not found:
        raise LongInterestError(f"There is no file in {', '.join(map(str, paths))}.")
    return found


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def _members(path: Path) -> list[RawFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
    except UNREADABLE as error:
        raise LongInterestError(f"{path} is not a zip file that can be read: {error}. Download it again.") from error
    return [RawFile(path, name) for name in names if not _hidden(Path(name))]


class Reading:
    """Reads and decompresses a file, with checks for damage and zip bombs, and a progress callback.

    Args:
        source: the file.
        advance: called with the number of stored bytes read since the last call.
    """

    def __init__(self, source: RawFile, advance: Callable[[int], object] = lambda stored: None) -> None:
        self.source = source
        self._advance = advance
        self._read = self._told = 0
        self._share = 1.0  # stored bytes per byte read from the zip
        self._archive: zipfile.ZipFile | None = None

    def __enter__(self) -> "Reading":
        """Open the file."""
        with _Readable(self.source):
            if self.source.member is None:
                raw: Any = self.source.path.open("rb", buffering=0)
            else:
                self._archive = zipfile.ZipFile(self.source.path)
                raw = self._archive.open(self.source.member)
                member = self._archive.getinfo(self.source.member)
                self._share = member.compress_size / max(member.file_size, 1)
            self._raw = io.BufferedReader(raw, BLOCK)
            packed = self._raw.peek(2)[:2] == GZIP_MAGIC
            self._file: Any = gzip.GzipFile(fileobj=self._raw) if packed else self._raw
            self._packed = packed or self._archive is not None
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the file."""
        if hasattr(self, "_raw"):
            self._raw.close()
        if self._archive is not None:
            self._archive.close()

    def read(self, size: int) -> bytes:
        """Read the next unpacked bytes; fewer than ``size`` only at the end.

        Raises:
            ValueError: for a file that is truncated or damaged, or whose compression ratio is suspiciously high.
        """
        with _Readable(self.source):
            data = self._file.read(size)
            stored = int(self._raw.tell() * self._share)
        self._read += len(data)
        if self._packed and self._read > RATIO_COUNTS_FROM and self._read > MAX_RATIO * max(stored, 1):
            raise LongInterestError(
                f"{self.source} unpacks to more than {MAX_RATIO} times its size, which no table does. Reading stopped."
            )
        self._advance(stored - self._told)
        self._told = stored
        return data


class _Readable:
    """Context manager that turns the errors of damaged files into a LongInterestError."""

    def __init__(self, source: RawFile) -> None:
        self.source = source

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (NotImplementedError, RuntimeError)) and self.source.member is not None:
            raise LongInterestError(
                f"{self.source} cannot be read: {error}. Unpack the zip by other means and give its folder."
            ) from error
        if isinstance(error, UNREADABLE) and not isinstance(error, PermissionError):  # its own message is clear
            raise LongInterestError(
                f"{self.source} cannot be read to its end: {error or type(error).__name__}. It is truncated or "
                "damaged; download it again."
            ) from error


def blocks(reading: Reading, quoted: bool = False, encoding: str | None = None) -> Iterator[tuple[int, bytes]]:
    """Read a file in blocks of whole lines, converted to UTF-8 if the encoding is known.

    Args:
        reading: an open file.
        quoted: values may be in double quotes and contain line ends; a block does not end inside such a value.
        encoding: encoding of the file; None to detect UTF-16 and UTF-32 and leave other bytes unchanged.

    Yields:
        Number of the block's first line (from 1) and the block, without a byte-order mark.

    Raises:
        ValueError: for a line of more than ``MAX_LINE`` bytes, and for a file in another encoding.
    """
    line, rest, old_mac, decode, first = 1, b"", False, None, True
    while True:
        data = reading.read(BLOCK)
        if first:
            kind = next((kind for magic, kind in PACKED.items() if data.startswith(magic)), None)
            if kind is not None:
                raise LongInterestError(f"{reading.source} is {kind}. Unpack or rename it, or save it as CSV.")
            decode = decoder_of(reading.source, encoding or wide_encoding(data))
        ended = not data
        if decode is not None:
            data = decode(data, ended)
        if first:
            data = data.removeprefix(b"\xef\xbb\xbf")
            old_mac = b"\r" in data and b"\n" not in data  # lines end in a carriage return only
            first = False
        if old_mac:
            data = data.replace(b"\r", b"\n")
        rest += data
        if ended:
            break
        cut = rest.rfind(b"\n") + 1
        if not cut:
            if len(rest) > MAX_LINE:
                raise LongInterestError(
                    f"{reading.source}, line {line}: more than {MAX_LINE // 2**20} MB without a line end. This is not "
                    "a table, or a quoted value was never closed."
                )
            continue
        if quoted:
            outside = _outside_quotes(rest, cut)
            if not outside and len(rest) < OPEN_BLOCKS * BLOCK:
                continue  # a quoted value may end in the next block
            cut = outside or cut
        yield line, rest[:cut]
        line += rest.count(b"\n", 0, cut)
        rest = rest[cut:]
    if rest:
        yield line, rest


def _outside_quotes(data: bytes, cut: int) -> int:
    """Last line end up to ``cut`` outside of quoted values; 0 if an open or stray quote hides all of them."""
    if ESCAPED_QUOTE.search(data):
        data = data.replace(b"\\\\", b"__").replace(b'\\"', b"__")
    open_quote, at = data.count(b'"', 0, cut) % 2 == 1, cut
    for _ in range(LOOK_BACK):
        if not open_quote:
            return at
        before = data.rfind(b"\n", 0, at - 1) + 1
        if not before:
            break
        open_quote ^= data.count(b'"', before, at) % 2 == 1
        at = before
    return 0


def open_bar(sources: Sequence[RawFile], what: str, shown: bool) -> Bar:
    """Create a progress bar over the stored bytes of the given files.

    Args:
        sources: the files.
        what: label of the bar.
        shown: False for a bar that shows nothing.
    """
    return progress_bar(total=sum(map(RawFile.size, sources)), desc=what, unit="B", unit_scale=True, disable=not shown)


def plain_name(path: str | Path) -> str:
    """Derive a data set name from a path: letters, digits, dot, dash and underscore only."""
    name = Path(path).resolve().name
    for suffix in (".gz", ".zip", ".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet", ".dat"):
        name = name.removesuffix(suffix)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "data"
