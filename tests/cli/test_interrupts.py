"""Ctrl-C and SIGTERM: one line and exit code 130, whatever the command is doing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recbole_longinterest.cli import interrupts
from recbole_longinterest.plugin.runs.checkpoints import LAST
from tests.conftest import synthetic_inter

# As the console script does, with a word when the first import begins.
PROGRAM = """
import signal, sys
sys.argv[0] = "recbole-li"
from recbole_longinterest.cli.interrupts import watch_program
print("go", flush=True)
from recbole_longinterest.cli.main import main
sys.exit(main())
"""


@pytest.fixture
def started() -> "Iterator[Callable[..., subprocess.Popen[str]]]":
    """Start a command; what still runs at the end is killed."""
    processes: list[subprocess.Popen[str]] = []
    yield lambda *arguments: start(processes, *arguments)
    for process in processes:
        process.kill()
        process.communicate()


def start(processes: "list[subprocess.Popen[str]]", *arguments: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    processes.append(process)
    assert process.stdout is not None and process.stdout.readline() == "go\n"
    return process


@pytest.mark.parametrize("delay", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_still_imports_says_stopped_and_no_more(
    number: signal.Signals, delay: float, started: "Callable[..., subprocess.Popen[str]]"
) -> None:
    process = started("run", "--epochs=1000", "--quiet", "--state=ERROR")
    time.sleep(delay)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.startswith("recbole-li: stopped") and err.count("\n") == 1, err


# Between two imports nothing tells a command from a program that has not begun.
BETWEEN = """
import os, sys, time
sys.argv[0] = "recbole-li"
from recbole_longinterest.cli.interrupts import watch_program
os.kill(os.getpid(), int(sys.argv[1]))
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_first_import(number: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BETWEEN, str(int(number))],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "recbole-li: stopped.\n")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("nproc", [1, 2])
def test_a_training_says_how_to_go_on(
    number: signal.Signals,
    nproc: int,
    started: "Callable[..., subprocess.Popen[str]]",
    write_dataset: Callable[..., Path],
    tmp_path: Path,
) -> None:
    root = write_dataset("tiny", synthetic_inter())
    words = ["run", "--model=BPR", "--dataset=tiny", f"--data_path={root}", "--epochs=100000", "--stopping_step=100000"]
    process = started(*words, f"--nproc={nproc}", "--quiet", "--checkpoint_dir=saved")
    while not list(tmp_path.glob(f"saved/*{LAST}")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err.startswith("recbole-li: stopped"), err
    assert "Traceback" not in err


def test_both_signals_are_as_before_afterwards() -> None:
    before = signal.default_int_handler, signal.SIG_DFL
    found = [signal.signal(*each) for each in zip((signal.SIGINT, signal.SIGTERM), before, strict=True)]
    with interrupts.stoppable():
        assert signal.getsignal(signal.SIGTERM) is interrupts._terminate
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    for number, handler in zip((signal.SIGINT, signal.SIGTERM), found, strict=True):
        signal.signal(number, handler)


def test_who_imports_the_commands_keeps_its_signals() -> None:
    program = "import signal\nfrom recbole_longinterest.cli import main\nprint(signal.getsignal(signal.SIGTERM).name)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "SIG_DFL\n"
