"""What a command prints at its end, and its exit code."""

import logging
import threading
from collections.abc import Callable

import pytest

from recbole_longinterest.cli.outcome import StoppedEarly, finish
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.packages import MissingPackage
from recbole_longinterest.training.processes import ProcessError


def fails(error: BaseException) -> Callable[[], str]:
    def work() -> str:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (LongInterestError("k must be 1."), 2, "error: k must be 1."),
        (ValueError("of RecBole"), 2, "error: of RecBole"),
        (NotImplementedError("of RecBole, too"), 2, "error: of RecBole, too"),
        (MissingPackage("X needs y."), 2, "error: X needs y. (recbole-li doctor checks the installation)"),
        (ImportError("no libcuda.so"), 2, "error: ImportError: no libcuda.so (in test_outcome.py, line "),
        (ProcessError("process 1 died."), 1, "error: process 1 died."),
        (OSError(28, "No space left on device", "a.csv"), 2, "error: a.csv: No space left on device"),
        (OSError("of a library"), 2, "error: of a library"),
        (KeyboardInterrupt(), 130, "stopped; it goes on."),
        (
            KeyboardInterrupt("stopped; recbole-li run --resume x goes on."),
            130,
            "stopped; recbole-li run --resume x go",
        ),
        (KeyError("two\nlines"), 2, "error: KeyError: 'two\\nlines' (in test_outcome.py, line "),
        (RuntimeError("two\nlines"), 2, "error: RuntimeError: two lines (in test_outcome.py, line "),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finish(fails(error), "stopped; it goes on.") == code
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"recbole-li: {line}") and err.count("\n") == 1


def test_an_error_in_a_thread_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def write() -> None:
        raise OSError(28, "No space left on device")

    def work() -> str:
        thread = threading.Thread(target=write, name="writer")
        thread.start()
        thread.join()
        return "done\n"

    before = threading.excepthook
    assert finish(work, "stopped.") == 0
    said = "recbole-li: warning: writer ended early: OSError: [Errno 28] No space left on device\n"
    assert capsys.readouterr() == ("done\n", said)
    assert threading.excepthook is before


def test_results_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert finish(lambda: "done\n", "stopped.") == 0
    assert capsys.readouterr() == ("done\n", "")


def test_results_so_far_are_printed_after_ctrl_c(capsys: pytest.CaptureFixture[str]) -> None:
    assert finish(fails(StoppedEarly("two of three\n")), "stopped; it goes on.") == 130
    assert capsys.readouterr() == ("two of three\n", "recbole-li: stopped; it goes on.\n")


def test_the_traceback_is_there_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        finish(fails(ValueError("wrong")), "stopped.")
    assert caplog.records[0].exc_info is not None and "ValueError: wrong" in caplog.text
