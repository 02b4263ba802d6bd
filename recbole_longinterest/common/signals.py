"""Ctrl-C and the processes that a command starts."""

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def children_without_ctrl_c() -> Iterator[None]:
    """Processes started inside do not hear Ctrl-C, which a terminal sends to all; who started them ends them.

    Without it a process that is stopped while it imports writes a traceback. A Ctrl-C in the meantime comes afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
