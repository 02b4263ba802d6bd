"""A SHA-256 checksum at the end of torch's zip archives, to detect damage when a file is read.

It is stored in the archive's comment, which every zip reader ignores. The last two bytes before the comment are its
length: their value is checked directly, and the hash covers all bytes before them.
"""

import os
import struct
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from recbole_longinterest.common.errors import LongInterestError

MARK = b"recbole-longinterest sha256 "
COMMENT = len(MARK) + 2 * sha256().digest_size
TRAILER = struct.pack("<H", COMMENT) + MARK  # followed by the hash in hex
TRAILER_SIZE = 2 + COMMENT
LAST_RECORD = b"PK\x05\x06"  # start of a zip archive's last record, which has 22 bytes without a comment
LAST_RECORD_SIZE = 22
BLOCK = 2**20


class ChecksumError(LongInterestError):
    """A file that was changed or damaged after it was written."""


class CutShortError(ChecksumError):
    """A file that was cut short or whose end was changed."""


def add_checksum(path: Path) -> None:
    """Add the checksum to a zip archive that has no comment."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        digest = _hash(file, size - 2)
        file.seek(size - 2)
        file.write(TRAILER + digest.encode())


def check_checksum(file: BinaryIO, path: str | os.PathLike[str]) -> bool:
    """Check the content of a file against its checksum.

    Args:
        file: open for reading; its position moves.
        path: its name, for the error.

    Returns:
        False if the file has no checksum.

    Raises:
        ChecksumError: for a file that was changed.
        CutShortError: for a file that was cut short, or whose end was changed.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TRAILER_SIZE))
    end = file.read()
    if size > TRAILER_SIZE and end.startswith(TRAILER):
        if _hash(file, size - TRAILER_SIZE).encode() == end[len(TRAILER) :]:
            return True
        raise ChecksumError(
            f"{path} was changed or damaged after it was written: its content does not match the SHA-256 at its end. "
            "Copy it again from an intact copy, or make it again."
        )
    file.seek(0)
    if file.read(2) == b"PK" and not _ends_without_comment(end):
        raise CutShortError(f"{path} was cut short or changed: it does not end as it was written. Copy it again.")
    return False


def _ends_without_comment(end: bytes) -> bool:
    """Whether the last bytes of an archive are its last record, with no comment after it."""
    last = end[-LAST_RECORD_SIZE:]
    return last.startswith(LAST_RECORD) and last.endswith(b"\0\0")


def _hash(file: BinaryIO, size: int) -> str:
    """SHA-256 of the first bytes of a file."""
    digest = sha256()
    file.seek(0)
    while size > 0 and (block := file.read(min(BLOCK, size))):
        digest.update(block)
        size -= len(block)
    return digest.hexdigest()
