"""The log: one JSON object per line, on standard error. It has user ids only if the operator turns this on."""

import contextlib
import json
import logging
import sys
import threading
import traceback
from datetime import datetime, timezone
from time import monotonic
from typing import Any, TextIO

LOGGER = "recbole_longinterest.service"
FIELDS = "fields"
REQUEST = "request"  # event name of the lines that may wait
WAIT = 0.1  # seconds
ENCODER = json.JSONEncoder(default=str)


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON.

    Args:
        users: whether to write messages of exceptions, which may contain user ids.
    """

    def __init__(self, users: bool) -> None:
        super().__init__()
        self._users = users

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line."""
        content: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        fields = getattr(record, FIELDS, None)
        if fields is None:
            content |= {"event": "message", "logger": record.name, "message": record.getMessage()}
        else:
            content |= {"event": record.getMessage(), **fields}
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            content["error"] = type(error).__name__
            content["at"] = [
                f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
            ]
            if self._users:
                content["said"] = str(error)
        return ENCODER.encode(content)


class BusyStream(logging.StreamHandler):
    """Writes several lines of requests at once, because a system call per line would take an eighth of the time.

    A request's line waits at most :data:`WAIT` seconds. Any other line is written at once, after the waiting lines.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []
        self._written = 0.0
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or keep it until the next write."""
        try:
            self._lines.append(self.format(record) + self.terminator)
            if record.msg != REQUEST or monotonic() - self._written > WAIT:
                self.flush()
            elif self._timer is None:
                self._timer = threading.Timer(WAIT, self.flush)
                self._timer.daemon = True
                self._timer.start()
        except Exception:  # as in logging: an error in the log must not stop the work
            self.handleError(record)

    def flush(self) -> None:
        """Write the waiting lines."""
        with self.lock or contextlib.nullcontext():
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._lines:
                together, self._lines = "".join(self._lines), []
                self._written = monotonic()
                self.stream.write(together)
                super().flush()


def set_up_logs(level: str = "info", users: bool = False, stream: TextIO | None = None) -> None:
    """Send all logs of this process through :class:`JsonLines`.

    Args:
        level: ``"debug"``, ``"info"``, ``"warning"`` or ``"error"``.
        users: see :class:`JsonLines`.
        stream: where to write; None for standard error.
    """
    handler = BusyStream(stream or sys.stderr)
    handler.setFormatter(JsonLines(users))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Our lines do not contain these values, and looking them up for every record takes time.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # uvicorn's messages repeat ours, and alembic logs a line for each table.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def log(event: str, level: int = logging.INFO, error: BaseException | None = None, **fields: object) -> None:
    """Log an event.

    Args:
        event: name of the event, one word.
        level: level of :mod:`logging`.
        error: the exception that caused it.
        fields: further members of the line.
    """
    logger = logging.getLogger(LOGGER)
    if logger.isEnabledFor(level):
        cause = None if error is None else (type(error), error, error.__traceback__)
        # Not logger.log, which walks the stack for the caller's file and line, for every request.
        logger.handle(logger.makeRecord(LOGGER, level, "", 0, event, (), cause, extra={FIELDS: fields}))
