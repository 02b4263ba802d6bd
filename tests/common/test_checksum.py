"""The checksum at the end of a zip archive: no change goes unnoticed, and the archive stays one."""

import io
import zipfile
from pathlib import Path

import pytest

from recbole_longinterest.common.checksum import (
    TRAILER_SIZE,
    ChecksumError,
    CutShortError,
    add_checksum,
    check_checksum,
)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as writer:
        writer.writestr("one", b"x" * 300)
    return path


def check(path: Path) -> bool:
    with path.open("rb") as file:
        return check_checksum(file, path)


def test_an_archive_with_a_checksum_is_read_as_before(archive: Path) -> None:
    assert check(archive) is False
    add_checksum(archive)
    assert check(archive) is True
    with zipfile.ZipFile(archive) as reader:
        assert reader.testzip() is None and reader.read("one") == b"x" * 300


def test_every_bit_is_covered(archive: Path) -> None:
    add_checksum(archive)
    whole = archive.read_bytes()
    for bit in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ChecksumError, match=r"a\.zip was (changed or damaged|cut short)"):
            check_checksum(io.BytesIO(changed), "a.zip")


def test_every_length_is_noticed(archive: Path) -> None:
    add_checksum(archive)
    whole = archive.read_bytes()
    for length in range(2, len(whole)):
        with pytest.raises(CutShortError):
            check_checksum(io.BytesIO(whole[:length]), "a.zip")
    archive.write_bytes(whole + b"\0")
    with pytest.raises(CutShortError):
        check(archive)


def test_an_archive_whose_comment_is_gone_is_cut_short(archive: Path) -> None:
    """Its last two bytes still say how long the comment was."""
    add_checksum(archive)
    archive.write_bytes(archive.read_bytes()[: -TRAILER_SIZE + 2])
    with pytest.raises(CutShortError):
        check(archive)


@pytest.mark.parametrize("content", [b"", b"P", b"no archive", b"\x80\x02."])
def test_other_files_carry_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    assert check(tmp_path / "x") is False
