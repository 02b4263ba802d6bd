"""Swap two folders atomically, where the system can: on Linux, on most local file systems."""

import errno
import os
import sys
from pathlib import Path

AT_FDCWD = -100
RENAME_EXCHANGE = 2
CALL_NUMBERS = {"x86_64": 316, "aarch64": 276}  # system call renameat2, for C libraries without that function
# Errors of kernels and file systems (NFS, some FUSE ones) that cannot swap.
UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP}


def exchange(one: Path, other: Path) -> bool:
    """Swap the names of two files or folders; no process ever sees one of the names missing.

    Args:
        one: an existing file or folder.
        other: an existing file or folder on the same file system.

    Returns:
        Whether they were swapped; False if the system or file system cannot, in which case nothing has changed.

    Raises:
        OSError: for any other failure, such as a folder that is a mount point.
    """
    if sys.platform != "linux":
        return False
    import ctypes  # late: not needed for --help

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
