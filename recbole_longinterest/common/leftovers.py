"""Drafts of files and folders that are being written, and what killed writers leave.

A draft is ``.<name>.<12 hex digits>.tmp`` beside ``<name>``, locked while its writer lives, so that anybody can tell a
killed writer's draft and remove it. Where a folder cannot be exchanged in one step, the old one is
``.<name>.<12 hex digits>.old`` for a moment; a kill then leaves that name alone, which readers find by
:func:`standing` and writers put back by :func:`recover`.
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LEFTOVER = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.(?P<kind>tmp|old)", re.DOTALL)
SECONDS_ABANDONED = 86_400.0  # a draft of this age has no writer any more, where locks cannot say it


def beside(path: Path, kind: str) -> Path:
    """A new name beside a path: of a draft (``tmp``) or of an old folder (``old``)."""
    return path.with_name(f".{path.name}.{os.urandom(6).hex()}.{kind}")


@contextlib.contextmanager
def new_draft(path: Path, folder: bool = False) -> Iterator[Path]:
    """Make an empty draft beside a path, and remove what has its name at the end.

    Args:
        path: whose draft it is.
        folder: make a folder, with those above it.
    """
    while True:
        draft = beside(path, "tmp")
        handle = _made(draft, folder)
        if handle is None or _is_own(handle, draft):
            break
        os.close(handle)  # somebody took it for a killed writer's before it was locked
    try:
        yield draft
    finally:
        remove(draft)
        if handle is not None:
            os.close(handle)


def remove(path: Path) -> None:
    """Remove a file or a folder, as far as the system allows; it may be gone already."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Remove a folder so that a kill never leaves a part of it under its name."""
    with contextlib.suppress(FileNotFoundError):
        draft = beside(folder, "tmp")
        folder.rename(draft)
        remove(draft)


def recover(path: Path) -> None:
    """Undo what killed writers of a file or folder left: an old folder gets its name back, drafts go.

    Args:
        path: nobody else writes it; :func:`~recbole_longinterest.common.file_lock.lock_files` calls this.
    """
    for old in _leftovers(path.parent, "old", path.name):
        if os.path.lexists(path):
            remove(old)
        else:
            with contextlib.suppress(OSError):  # a parent that may not be written: the writer says it
                old.rename(path)
    sweep(path)


def standing(path: Path) -> Path:
    """Where the content of a path is: there, or under the name that a killed writer left it."""
    if os.path.lexists(path):
        return path
    return next(iter(_leftovers(path.parent, "old", path.name)), path)


def sweep(path: Path) -> None:
    """Remove the drafts of a file or folder whose writers were killed; others may be writing it."""
    _remove_abandoned(_leftovers(path.parent, "tmp", path.name))


def sweep_folder(folder: Path) -> None:
    """Remove the drafts of everything in a folder whose writers were killed."""
    _remove_abandoned(_leftovers(folder, "tmp"))


# --- whose a draft is ------------------------------------------------------------------------------------------------


def _made(draft: Path, folder: bool) -> int | None:
    """Make a draft; its handle where a lock can be put on it."""
    if folder:
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir()
        return None if fcntl is None else os.open(draft, os.O_RDONLY)
    handle = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    if fcntl is None:  # Windows does not rename open files
        os.close(handle)
        return None
    return handle


def _is_own(handle: int, draft: Path) -> bool:
    """Lock a new draft; False if somebody has removed it, or is about to."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without such locks: see SECONDS_ABANDONED
        return True
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(handle), draft.stat())
    return False


def _remove_abandoned(drafts: list[Path]) -> None:
    for draft in drafts:
        if draft.is_symlink():  # made and renamed at once, and has no lock
            remove(draft)
            continue
        try:
            if fcntl is None:
                if _is_old(draft):
                    remove(draft)
                continue
            handle = os.open(draft, os.O_RDONLY)
        except OSError:  # gone meanwhile, or another user's
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(draft)
        except BlockingIOError:  # its writer lives
            pass
        except OSError:
            if _is_old(draft):
                remove(draft)
        finally:
            os.close(handle)


def _is_old(draft: Path) -> bool:
    with contextlib.suppress(OSError):
        return time.time() - draft.lstat().st_mtime > SECONDS_ABANDONED
    return False


def _leftovers(folder: Path, kind: str, name: str | None = None) -> list[Path]:
    """Leftovers of a kind in a folder, of a name or of all, the one renamed last first."""
    found: list[tuple[int, Path]] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = LEFTOVER.fullmatch(entry.name)
            if match and match["kind"] == kind and name in (None, match["name"]):
                found.append((entry.stat(follow_symlinks=False).st_ctime_ns, folder / entry.name))
    return [path for _, path in sorted(found, reverse=True)]
