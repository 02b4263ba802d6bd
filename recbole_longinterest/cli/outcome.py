"""Print the result of a command and set its exit code; an error that the user can fix is one line."""

import sys
import threading
from collections.abc import Callable
from logging import getLogger

from recbole_longinterest.common.errors import raised_at
from recbole_longinterest.common.packages import DOCTOR
from recbole_longinterest.common.printable import printable, printable_lines


class Exact(str):
    """A result for other programs, printed unchanged. In other results, control characters are escaped."""


class StoppedEarly(KeyboardInterrupt):
    """Ctrl-C in a command that has results to print.

    Attributes:
        summary: the results so far.
    """

    def __init__(self, summary: str) -> None:
        super().__init__()
        self.summary = summary


class ProblemsFound(Exception):
    """The command finished its work and found problems: exit code 1.

    Attributes:
        report: text for standard output.
        problem: text for standard error; empty if the report names the problems.
    """

    def __init__(self, report: str, problem: str = "") -> None:
        super().__init__()
        self.report, self.problem = report, problem


def finish(work: Callable[[], str], stopped: str) -> int:
    """Do the work of a command and print its result.

    Args:
        work: the command; returns the text to print.
        stopped: printed after Ctrl-C, unless the interrupt has its own message.

    Returns:
        Exit code: 0 for success; 2 for a wrong argument, file or setting; 1 for problems that the command found
            (:class:`ProblemsFound`) and for a training process that died; 130 after Ctrl-C.
    """
    before, threading.excepthook = threading.excepthook, _say_that_a_thread_ended
    try:
        return _finish(work, stopped)
    finally:
        threading.excepthook = before


def _finish(work: Callable[[], str], stopped: str) -> int:
    try:
        said = work()
    except (ValueError, NotImplementedError) as error:  # RecBole raises the latter for an unknown setting
        _log_traceback()
        _print_error(str(error))
        return getattr(error, "exit_code", 2)
    except OSError as error:  # for example a folder that cannot be written, or a full disk
        _log_traceback()
        named = f"{error.filename}: " if error.filename else ""
        _print_error(f"{named}{error.strerror or error}")
        return 2
    except ProblemsFound as found:
        sys.stdout.write(printable_lines(found.report))
        if found.problem:
            _print_error(found.problem)
        return 1
    except KeyboardInterrupt as interrupt:
        if isinstance(interrupt, StoppedEarly):
            sys.stdout.write(printable_lines(interrupt.summary))
        sys.stderr.write(f"recbole-li: {printable(str(interrupt) or stopped)}\n")
        return 130
    except Exception as error:  # raised in RecBole for settings or data that it does not check
        _log_traceback()
        said = " ".join(str(error).split())
        _print_error(
            f"{type(error).__name__}: {said} (in {raised_at(error)}; "
            f"--state=DEBUG shows more){f' {DOCTOR}' if isinstance(error, ImportError) else ''}"
        )
        return 2
    sys.stdout.write(said if isinstance(said, Exact) else printable_lines(said))
    return 0


def _print_error(message: str) -> None:
    one_line = " ".join(message.splitlines())  # other packages' errors may have several lines
    sys.stderr.write(f"recbole-li: error: {printable(one_line)}\n")


def _say_that_a_thread_ended(thread: threading.ExceptHookArgs) -> None:
    """Print one line for an error that ends only a thread, such as TensorBoard's writer on a full disk."""
    error = thread.exc_value
    getLogger().debug("where it happened", exc_info=error)
    name = thread.thread.name if thread.thread else "a thread"
    said = " ".join(f"{type(error).__name__}: {error}".split())
    sys.stderr.write(f"recbole-li: warning: {printable(f'{name} ended early: {said}')}\n")


def _log_traceback() -> None:
    getLogger().debug("where it happened", exc_info=True)  # shown by --state=DEBUG
