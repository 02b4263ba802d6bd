"""Atomic writes of files and folders: a reader sees the old content or the new one, never a part.

New content is written to a draft beside its place (:mod:`~recbole_longinterest.common.leftovers`), synced to the disk,
and the draft is renamed to its place, or exchanged with the folder there. The next writer removes the drafts of writers
that were killed.
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
    """Write a file as a draft that takes the file's place at the end.

    Args:
        path: the file; its folder exists. Behind a link, the file that the link names is replaced; a device or a pipe
            is written to.

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
    """Write a folder as a draft that takes the folder's place at the end.

    Args:
        folder: made with those above it, or replaced with everything in it. Behind a link, the folder that the link
            names is replaced. Nobody else writes it: hold its lock
            (:func:`~recbole_longinterest.common.file_lock.lock_files`).

    Yields:
        The draft, an empty folder. It is removed if the block raises.
    """
    folder = folder.resolve()  # "." has no name to put a draft beside
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
    """Rename a finished draft, a file or a folder, to its own name; neither a kill nor a power cut loses it.

    Args:
        draft: on the same file system as ``path``. What was at ``path`` has this name afterwards if it was a folder.
        path: a file or folder there is replaced.
    """
    with contextlib.suppress(OSError):  # nothing is there, or it is another user's
        shutil.copymode(path, draft)
    sync(draft)
    if not draft.is_dir() or not path.exists():
        draft.replace(path)
    elif not exchange(draft, path):  # a folder that is not empty cannot be renamed over
        old = beside(path, "old")
        path.rename(old)
        try:
            draft.rename(path)
        except OSError:
            old.rename(path)
            raise
        remove(old)
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
