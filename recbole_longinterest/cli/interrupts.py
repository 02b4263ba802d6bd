"""Ctrl-C and SIGTERM in a command: both stop it the same way. During its imports the process exits at once.

Python raises KeyboardInterrupt in the middle of an import. Depending on the module, this leads to a traceback, to an
unrelated ImportError or to a partly loaded package. No work has started by then, so no cleanup is needed.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

STOPPED = 130
PROGRAMS = ("recbole-li", "run_recbole_li")
CLI = str(Path(__file__).parent)
# Files whose imports, also those inside functions, come before any work.
BEFORE_WORK = (CLI, str(Path(__file__).parents[1] / "experiments" / "tuning" / "tune.py"))

_catches = True  # whether the KeyboardInterrupt that a signal raises will be caught


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Handle Ctrl-C and SIGTERM inside the context, and restore the previous handlers afterwards."""
    global _catches
    before, outer = watch(), _catches
    _catches = True
    try:
        yield
    finally:
        _catches = outer
        for number, handler in before.items():
            signal.signal(number, handler)


def watch_program() -> None:
    """Set the handlers if this process is one of our commands, not another program that imports this package."""
    global _catches
    if Path(sys.argv[0] if sys.argv else "").stem in PROGRAMS:
        watch()
        spawned = sys.modules.get("multiprocessing")  # already loaded in a child process
        _catches = spawned is not None and spawned.parent_process() is not None


def watch() -> dict[int, Any]:
    """Set a handler for each signal that still has Python's default handler.

    Returns:
        The replaced handlers, by signal.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    before: dict[int, Any] = {}
    for number, handler, usual in (
        (signal.SIGINT, _interrupt, signal.default_int_handler),
        (signal.SIGTERM, _terminate, signal.SIG_DFL),
    ):
        if signal.getsignal(number) == usual:
            before[number] = signal.signal(number, handler)
    return before


def _interrupt(number: int, frame: FrameType | None) -> None:
    if not _catches or _only_imports(frame):
        os.write(2, b"recbole-li: stopped.\n")
        os._exit(STOPPED)
    raise KeyboardInterrupt


def _terminate(number: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C would do now; Ray Tune, for example, sets its own handler."""
    handler = signal.getsignal(signal.SIGINT)
    (handler if callable(handler) else _interrupt)(number, frame)


def _only_imports(frame: FrameType | None) -> bool:
    """Whether a command, or the program that calls it, is still importing and has done no work yet."""
    outermost: FrameType | None = None
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            outermost = frame
        frame = frame.f_back
    if outermost is None:
        return False
    caller = outermost.f_back
    file = caller.f_code.co_filename if caller is not None else ""
    return file.startswith(BEFORE_WORK) or (caller is not None and caller.f_back is None)
