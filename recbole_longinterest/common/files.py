"""Atomic writes of files and folders: a reader sees the old content or the new, never a mixture.

New content is written to a temporary file or folder (the draft) in the same directory
(:mod:`~recbole_longinterest.common.leftovers`) and synced to disk. The draft is then renamed, or swapped with an
existing folder. The next writer removes the drafts of killed writers.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.exchange import exchange
from recbole_longinterest.common.leftovers import beside, new_draft, remove, sweep


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Write a file through a draft that replaces it at the end.

    Args:
        path: the file; its folder exists. For a link, its target is replaced; a device or pipe is written directly.

    Yields:
        The draft. It is removed if the block raises.
    """
    path = path.resolve()
    if path.exists() and not path.is_file() and not path.is_dir():
        yield path
        return
    sweep(path)
    with new_draft(path) as draft:
        yield draft
        put_in_place(draft, path)


@contextlib.contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Write a folder through a draft that replaces it at the end.

    Args:
        folder: created with its parents, or replaced with all its content. For a link, its target is replaced. The
            caller holds its lock (:func:`~recbole_longinterest.common.file_lock.lock_files`).

    Yields:
        The draft, an empty folder. It is removed if the block raises.
    """
    folder = folder.resolve()  # "." has no name, which the draft needs
    sweep(folder)
    with new_draft(folder, folder=True) as draft:
        yield draft
        put_in_place(draft, folder)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    with atomic_file(path) as draft:
        draft.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a file of UTF-8 text atomically."""
    with atomic_file(path) as draft:
        draft.write_text(text, encoding="utf-8")


def put_in_place(draft: Path, path: Path) -> None:
    """Rename a finished draft (file or folder) to its final name; safe against a kill or a power cut.

    Args:
        draft: on the same file system as ``path``. A folder that was at ``path`` may have this name afterwards.
        path: the final name; an existing file or folder is replaced.
    """
    with contextlib.suppress(OSError):  # no such path, or owned by another user
        shutil.copymode(path, draft)
    sync(draft)
    if not draft.is_dir() or not path.exists():
        draft.replace(path)
    elif not exchange(draft, path):  # rename cannot replace a folder that has content
        old = beside(path, "old")
        path.rename(old)
        try:
            draft.rename(path)
        except OSError:
            old.rename(path)
            raise
        remove(old)
    with contextlib.suppress(OSError):  # some systems cannot sync folders; the rename has succeeded
        _sync_one(path.parent)


def sync(path: Path) -> None:
    """Sync a file, or a folder with everything below it, to disk.

    Raises:
        OSError: for example, because some file systems report only here that they are full.
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


def make_folder(path: str | os.PathLike[str]) -> None:
    """Create a folder and its parents, unless it exists.

    Raises:
        ValueError: if the folder cannot be created; the message says which one and why.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LongInterestError(
            f"The folder {Path(path).resolve()} cannot be made ({error.strerror}). Remove what is in the way, or "
            "choose another folder."
        ) from error


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
