"""Exchange two folders in one step, where the system can: Linux, on most local file systems."""

import errno
import os
import sys
from pathlib import Path

AT_FDCWD = -100
RENAME_EXCHANGE = 2
CALL_NUMBERS = {"x86_64": 316, "aarch64": 276}  # of renameat2, for a C library that has no function of that name
# Answers of a kernel or a file system (NFS, some FUSE ones) that cannot exchange.
UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP}


def exchange(one: Path, other: Path) -> bool:
    """Give two files or folders each other's name; no process ever sees one of the names missing.

    Args:
        one: exists.
        other: exists, on the same file system.

    Returns:
        Whether it was done; False if the system or the file system cannot, and then nothing has changed.

    Raises:
        OSError: for any other reason, such as a folder that is a mount point.
    """
    if sys.platform != "linux":
        return False
    import ctypes  # late: --help does without

    library = ctypes.CDLL(None, use_errno=True)
    arguments = (AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)
    sys.audit("recbole_longinterest.exchange", str(one), str(other))
    if hasattr(library, "renameat2"):
        failed = library.renameat2(*arguments)
    elif os.uname().machine in CALL_NUMBERS:
        failed = library.syscall(CALL_NUMBERS[os.uname().machine], *arguments)
    else:
        return False
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))
