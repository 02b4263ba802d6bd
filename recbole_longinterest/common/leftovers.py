"""Drafts of files and folders while they are written, and recovery after killed writers.

A draft is ``.<name>.<12 hex digits>.tmp`` beside ``<name>``. It is locked while its writer lives, so an unlocked draft
belongs to a killed writer and can be removed. On systems that cannot swap folders atomically, the old folder is renamed
to ``.<name>.<12 hex digits>.old`` for a moment. If the writer is killed then, readers find the old folder with
:func:`standing`, and the next writer restores it with :func:`recover`.
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
SECONDS_ABANDONED = 86_400.0  # without locks, a draft of this age counts as abandoned


def beside(path: Path, kind: str) -> Path:
    """Return a new name beside a path, for a draft (``tmp``) or an old folder (``old``)."""
    return path.with_name(f".{path.name}.{os.urandom(6).hex()}.{kind}")


@contextlib.contextmanager
def new_draft(path: Path, folder: bool = False) -> Iterator[Path]:
    """Create an empty draft beside a path; whatever has the draft's name at the end is removed.

    Args:
        path: final name of the draft.
        folder: create a folder, with its parents.
    """
    while True:
        draft = beside(path, "tmp")
        handle = _create(draft, folder)
        if handle is None or _is_own(handle, draft):
            break
        os.close(handle)  # another process removed it as abandoned before it was locked
    try:
        yield draft
    finally:
        remove(draft)
        if handle is not None:
            os.close(handle)


def remove(path: Path) -> None:
    """Remove a file or a folder; errors and missing paths are ignored."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Remove a folder; a kill never leaves a partial folder under its name."""
    with contextlib.suppress(FileNotFoundError):
        draft = beside(folder, "tmp")
        folder.rename(draft)
        remove(draft)


def recover(path: Path) -> None:
    """Clean up after killed writers of a path: restore the name of an old folder and remove drafts.

    Args:
        path: the file or folder, locked by the caller (:func:`~recbole_longinterest.common.file_lock.lock_files`).
    """
    for old in _leftovers(path.parent, "old", path.name):
        if os.path.lexists(path):
            remove(old)
        else:
            with contextlib.suppress(OSError):  # a read-only parent folder: the writer reports it
                old.rename(path)
    sweep(path)


def standing(path: Path) -> Path:
    """Return where the content of a path is: the path, or the old name that a killed writer left."""
    if os.path.lexists(path):
        return path
    return next(iter(_leftovers(path.parent, "old", path.name)), path)


def sweep(path: Path) -> None:
    """Remove the drafts of killed writers of a path; safe while another process writes it."""
    _remove_abandoned(_leftovers(path.parent, "tmp", path.name))


def sweep_folder(folder: Path) -> None:
    """Remove the drafts of all killed writers in a folder."""
    _remove_abandoned(_leftovers(folder, "tmp"))


# --- owners of drafts ------------------------------------------------------------------------------------------------


def _create(draft: Path, folder: bool) -> int | None:
    """Create a draft and return its handle; None if it cannot be locked."""
    if folder:
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir()
        return None if fcntl is None else os.open(draft, os.O_RDONLY)
    handle = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    if fcntl is None:  # Windows cannot rename open files
        os.close(handle)
        return None
    return handle


def _is_own(handle: int, draft: Path) -> bool:
    """Lock a new draft; False if another process has removed it, or is about to."""
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
        if draft.is_symlink():  # links are renamed at once and have no lock
            remove(draft)
            continue
        try:
            if fcntl is None:
                if _is_old(draft):
                    remove(draft)
                continue
            handle = os.open(draft, os.O_RDONLY)
        except OSError:  # already removed, or owned by another user
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(draft)
        except BlockingIOError:  # the writer is alive
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
    """List the leftovers of a kind in a folder, of one name or of all; most recently renamed first."""
    found: list[tuple[int, Path]] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = LEFTOVER.fullmatch(entry.name)
            if match and match["kind"] == kind and name in (None, match["name"]):
                found.append((entry.stat(follow_symlinks=False).st_ctime_ns, folder / entry.name))
    return [path for _, path in sorted(found, reverse=True)]
