"""Encodings of raw files: detect UTF-16 and values that are not UTF-8, and decode encodings given by the user."""

import codecs
from collections.abc import Callable

from recbole_longinterest.common.errors import LongInterestError

WIDE_SAMPLE = 1_000  # bytes used to detect UTF-16


def wide_encoding(start: bytes) -> str | None:
    """Detect UTF-16 or UTF-32 from the first bytes of a file; None for other encodings."""
    if start[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    sample = start[:WIDE_SAMPLE]
    for at, name in ((1, "utf-16-le"), (0, "utf-16-be")):  # in Latin text every other byte is zero
        if sample[at::2].count(0) > len(sample) // 4 and not sample[1 - at :: 2].count(0):
            return name
    return None


def decoder_of(source: object, encoding: str | None) -> Callable[[bytes, bool], bytes] | None:
    """Return a function that converts the parts of a file to UTF-8; None if not needed."""
    if encoding is None:
        return None

    def decode(data: bytes, final: bool) -> bytes:
        try:
            return decoder.decode(data, final).encode("utf-8")
        except UnicodeError as error:
            raise LongInterestError(
                f"{source} is not in the encoding {encoding}: {error}. Leave --encoding out, or name the file's own."
            ) from error

    try:
        decoder = codecs.getincrementaldecoder(encoding)()
    except LookupError as error:
        raise LongInterestError(f"{source}: {error}. Leave --encoding out, or name the file's own.") from error
    return decode


def as_utf8(block: bytes, separator: str) -> tuple[bytes, int]:
    """Convert all values of a block to UTF-8; also return how many were not UTF-8."""
    import pyarrow as pa  # not needed by a source's arguments

    try:
        pa.array([block], pa.large_binary()).cast(pa.large_string())
        return block, 0
    except pa.ArrowInvalid:
        recoded, cell_end = 0, separator.encode()
        lines = []
        for line in block.split(b"\n"):
            cells = []
            for cell in line.split(cell_end):
                text, other = decoded(cell)
                recoded += other
                cells.append(text.encode())
            lines.append(cell_end.join(cells))
        return b"\n".join(lines), recoded


def decoded(value: bytes) -> tuple[str, bool]:
    """Decode a value; also return whether it was not UTF-8."""
    try:
        return value.decode("utf-8"), False
    except UnicodeDecodeError:
        try:
            return value.decode("cp1252"), True
        except UnicodeDecodeError:
            return value.decode("latin-1"), True
