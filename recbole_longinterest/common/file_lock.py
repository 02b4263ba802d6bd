"""Lock files, so that two processes never write the same run, search, comparison or update."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError

# What systems answer that have no locks, as some network file systems.
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


class FileLockError(LongInterestError):
    """Another process works with the same files."""


@contextlib.contextmanager
def lock_files(
    path: Path, doing: str = "training", way_out: str = "start a run of its own without resume"
) -> Iterator[None]:
    """Hold a lock on files while the block runs; the system releases it when the process dies.

    A file system without locks gives none, and the block runs all the same.

    Args:
        path: names the files, and need not exist. The lock file ``.<name>.lock`` is beside it; their folder is made.
        doing: what the holder does to ``path``, for the error of the others.
        way_out: what they may do besides waiting.

    Raises:
        FileLockError: at once, if another process holds the lock.
    """
    from filelock import FileLock, Timeout  # 0.1 s of imports that --help does not need

    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(f".{path.name}.lock")
    lock = FileLock(file, blocking=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise FileLockError(f"Another process is {doing} {path} at the moment. Wait for it, or {way_out}.") from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    try:
        yield
    finally:
        # Removed while it is held: filelock retries when the file that it has locked has no name any more.
        with contextlib.suppress(OSError):  # Windows does not remove open files; filelock does it there
            file.unlink(missing_ok=True)
        lock.release()
