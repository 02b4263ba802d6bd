"""The service as a process of its own, on a port of loopback."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROGRAM = "import sys; from recbole_longinterest.cli.main import main; sys.exit(main())"


class Server:
    """A running `recbole-li serve`.

    Args:
        model: folder of the model.
        arguments: further ones.
        patience: seconds in which it has to listen, and to end.

    Attributes:
        url: where it listens.
        log: lines of its log so far.
    """

    def __init__(self, model: Path, *arguments: str, patience: float = 120) -> None:
        port = () if "--port" in arguments else ("--port", "0")
        command = [sys.executable, "-c", PROGRAM, "serve", str(model), *port, *arguments]
        self._patience = patience
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self.log: list[dict[str, Any]] = []
        self.other: list[str] = []
        self._listening = threading.Event()
        self.url = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._listening.wait(patience) or not self.url:
            self.process.kill()
            raise AssertionError("\n".join(self.other))

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.other.append(line.rstrip())
                continue
            if self.log[-1]["event"] == "listening":
                self.url = self.log[-1]["url"]
                self._listening.set()
        self._listening.set()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and wait for the end; returns the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(self._patience)
        self.end_of_log()
        return code

    def end_of_log(self) -> list[dict[str, Any]]:
        """The log of a process that has ended."""
        self._reader.join(10)
        return self.log

    def __enter__(self) -> "Server":
        """Use it in a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)


def events_in(log: Sequence[dict[str, Any]]) -> list[str]:
    """What happened, by a log."""
    return [line["event"] for line in log]
