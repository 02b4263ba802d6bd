"""Lock files, so that two processes never write the same data set, model folder, run, search, comparison or update."""

import contextlib
import errno
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.leftovers import recover

# Errors of file systems without locks, such as some network file systems.
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())


class FileLockError(LongInterestError):
    """The files are in use by another process, or cannot be written."""


@contextlib.contextmanager
def lock_files(
    path: Path, doing: str = "training", way_out: str = "start a run of its own without resume", again: bool = False
) -> Iterator[bool]:
    """Hold a lock on files while the block runs; the system releases it when the process dies.

    On a file system without locks the block runs unlocked. First, leftovers of killed writers of ``path`` are recovered
    or removed.

    Args:
        path: the file or folder to lock; it need not exist. The lock file ``.<name>.lock`` is beside it; the parent
            folder is created.
        doing: what the holder does to ``path``, for the error message of other processes.
        way_out: what they can do besides waiting, for the same message.
        again: allow this thread to hold the lock already.

    Yields:
        Whether the last holder was killed.

    Raises:
        FileLockError: at once, if another process holds the lock, or if the folder cannot be written.
    """
    from filelock import FileLock, Timeout  # late: takes 0.1 s, not needed for --help

    place = path.resolve()
    if again and place in _held.get():
        yield False
        return
    missing = [folder for folder in place.parents if not folder.exists()]
    file = place.with_name(f".{place.name}.lock")
    killed = file.exists()
    lock = FileLock(file, blocking=False, fallback_to_soft=False)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise FileLockError(f"Another process is {doing} {path} at the moment. Wait for it, or {way_out}.") from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise FileLockError(
                f"{place.parent} cannot be written ({error.strerror or error}). Make room there, or choose another "
                "folder."
            ) from error
    token = _held.set(_held.get() | {place})
    try:
        recover(place)
        yield killed
    finally:
        _held.reset(token)
        # Removed while it is held: filelock retries if the file that it has locked was unlinked.
        with contextlib.suppress(OSError):  # Windows cannot remove open files; filelock removes it there
            file.unlink(missing_ok=True)
        lock.release()
        for folder in missing:  # created only for the lock, nothing was written
            with contextlib.suppress(OSError):
                if not any(folder.iterdir()):
                    folder.rmdir()
