"""File operations of a process, counted by an audit hook that kills it, or lets the system fail, at the n-th."""

import errno
import os
import resource
import signal
import sys
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, Literal

How = Literal["count", "kill", "full", "read-only"]
# What changes files, and where its arguments have a path and the handle of the folder that the path is relative to.
ADDS = {
    "os.mkdir": ((0, 2),),
    "os.rename": ((0, 2), (1, 3)),  # os.replace, too
    "os.link": ((0, 2), (1, 3)),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "recbole_longinterest.exchange": ((0, None), (1, None)),
}
REMOVES = {"os.remove": ((0, 1),), "os.rmdir": ((0, 1),), "os.chmod": ((0, 2),)}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Points:
    """Count the operations on files below a folder, by this process and those that it forks.

    Args:
        root: the folder.
        how: what happens at the n-th operation: nothing, a kill of all processes, a full disk from there on (which
            still removes), or a folder that nobody may write, from the first on.
        at: n, from 1.
        count: shared with forked processes.
    """

    def __init__(self, root: Path, how: How, at: int, count: "Synchronized[int]") -> None:
        self.root = f"{root}{os.sep}"
        self.how, self.at, self.count = how, at, count

    def start(self) -> None:
        """Count from here to the end of the process; hooks cannot be removed."""
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if not isinstance(arguments[2], int) or not arguments[2] & WRITES:
                return
            places: tuple[tuple[int, int | None], ...] = ((0, None),)
        elif event in ADDS:
            places = ADDS[event]
        elif event in REMOVES:
            places = REMOVES[event]
        else:
            return
        if not any(self._is_inside(arguments, *place) for place in places):
            return
        with self.count.get_lock():
            self.count.value += 1
            reached = self.count.value >= self.at
        if reached and self.how == "kill":
            os.killpg(os.getpgrp(), signal.SIGKILL)
            signal.pause()
        fails = self.how == "read-only" or (reached and self.how == "full" and event not in REMOVES)
        if fails:
            number = errno.EROFS if self.how == "read-only" else errno.ENOSPC
            raise OSError(number, os.strerror(number), str(arguments[places[-1][0]]))

    def _is_inside(self, arguments: tuple[Any, ...], at: int, folder_at: int | None) -> bool:
        path = arguments[at]
        if isinstance(path, int):
            return False
        place = Path(os.fsdecode(path))
        handle = -1 if folder_at is None or folder_at >= len(arguments) else arguments[folder_at]
        if not place.is_absolute():
            place = (Path.cwd() if handle == -1 else Path(f"/proc/self/fd/{handle}").readlink()) / place
        return str(place).startswith(self.root)


def limit_files(size: int, killed: bool) -> None:
    """Let no file grow beyond a size: the write that would is cut there, and the next one kills or fails.

    This reaches writers that are not Python, too.
    """
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if killed else signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
