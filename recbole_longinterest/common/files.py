"""Atomic writes of files and folders: a reader sees the old content or the new one, never a part.

New content is written to a draft beside its place, synced to the disk, and the draft is renamed. A process
that is killed meanwhile leaves the old content and a draft, whose name is ``.<name>.<random>.tmp``.
"""

import contextlib
import glob
import os
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Write a file as a draft that takes the file's place at the end.

    Args:
        path: the file; its folder exists.

    Yields:
        The draft. It is removed if the block raises.
    """
    draft = _draft_of(path)
    try:
        yield draft
        put_in_place(draft, path)
    finally:
        with contextlib.suppress(OSError):  # the folder went away meanwhile: the block's own error says more
            draft.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Write a folder as a draft that takes the folder's place at the end.

    Args:
        folder: made with those above it, or replaced with everything in it.

    Yields:
        The draft, an empty folder. It is removed if the block raises.
    """
    folder = folder.absolute()  # "." has no name to put a draft beside
    draft = _draft_of(folder)
    try:
        draft.mkdir(parents=True)
        yield draft
        put_in_place(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    with atomic_file(path) as draft:
        draft.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a file of UTF-8 text atomically."""
    with atomic_file(path) as draft:
        draft.write_text(text, encoding="utf-8")


def remove_drafts(path: str | os.PathLike[str]) -> None:
    """Remove the drafts that killed writers of a file or folder left; nobody else may be writing it."""
    path = Path(path)
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


def put_in_place(draft: Path, path: Path) -> None:
    """Rename a finished draft, a file or a folder, to its own name; neither a kill nor a power cut loses it.

    Args:
        draft: on the same file system as ``path``.
        path: a file or folder there is replaced.
    """
    sync(draft)
    if draft.is_dir() and path.exists():  # a folder that is not empty cannot be renamed over
        old = path.with_name(f".{path.name}.{os.urandom(6).hex()}.old")
        path.rename(old)
        try:
            draft.rename(path)
        except OSError:
            old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        draft.replace(path)
    with contextlib.suppress(OSError):  # some systems do not sync folders, and the rename is done
        _sync_one(path.parent)


def sync(path: Path) -> None:
    """Wait until the disk holds a file, or a folder with everything below it.

    Raises:
        OSError: some file systems tell only here that they are full.
    """
    if not path.is_dir():
        _sync_one(path)
        return
    for inside in path.rglob("*"):
        if inside.is_file():
            _sync_one(inside)
    with contextlib.suppress(OSError):
        for inside in (path, *path.rglob("*")):
            if inside.is_dir():
                _sync_one(inside)


def _sync_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _draft_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder, with those above it, unless it exists.

    Raises:
        ValueError: names the folder that cannot be made, and says why.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LongInterestError(
            f"The folder {Path(path).resolve()} cannot be made ({error.strerror}). Move what is in its way, or "
            "choose another folder."
        ) from error


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
