"""Ctrl-C and SIGTERM in a command: both stop it the same way, and while it still imports it ends at once.

Python raises KeyboardInterrupt in the middle of an import, and what comes of it is up to the module: a traceback, an
ImportError of something else, a half-made package. Nothing has begun by then, so there is nothing to put in order.
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
# Files whose imports, also inside functions, come before any work.
BEFORE_WORK = (CLI, str(Path(__file__).parents[1] / "experiments" / "tuning" / "tune.py"))

_catches = True  # whether somebody catches the KeyboardInterrupt that a signal raises


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Inside, Ctrl-C and SIGTERM stop a command; afterwards they are what they were."""
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
    """Watch from here on if this process is one of our commands, and not somebody's program that imports it."""
    global _catches
    if Path(sys.argv[0] if sys.argv else "").stem in PROGRAMS:
        watch()
        spawned = sys.modules.get("multiprocessing")  # loaded by now in a process that another one started
        _catches = spawned is not None and spawned.parent_process() is not None


def watch() -> dict[int, Any]:
    """Set the handlers where nobody else has set one.

    Returns:
        What was there, by signal.
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
    """Do what Ctrl-C does at this moment; Ray Tune has a way of its own."""
    handler = signal.getsignal(signal.SIGINT)
    (handler if callable(handler) else _interrupt)(number, frame)


def _only_imports(frame: FrameType | None) -> bool:
    """Whether a command, or the program that calls it, is importing, and has done nothing else yet."""
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
