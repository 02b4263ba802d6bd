"""Patches that give every run of a process its own log file and TensorBoard folder."""

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from recbole_longinterest.common.notebook import in_notebook
from recbole_longinterest.common.printable import printable_log
from recbole_longinterest.plugin.fixes import environment  # noqa: F401 - its patch of the terminal's streams comes first
from recbole_longinterest.plugin.fixes.registry import patch
from recbole_longinterest.plugin.runs import own_handlers
from recbole_longinterest.plugin.same_code import with_globals

if TYPE_CHECKING:
    from recbole.config.configurator import Config
    from torch.utils.tensorboard import SummaryWriter

own_logs = functools.partial(
    patch,
    name="own_logs",
    kind="fix",
    why="All runs of a process write to the log file and TensorBoard folder of the first one.",
    wraps=True,
)


class _NewFile(logging.FileHandler):
    """A new log file for each run, because two runs with the same settings may start in the same second."""

    def __init__(self, filename: str) -> None:
        given = path = Path(filename)
        number = 1
        while True:
            try:
                path.open("x").close()
                break
            except FileExistsError:
                number += 1
                path = given.with_name(f"{given.stem}-{number}{given.suffix}")
        super().__init__(path)


def _basic_config(level: int, handlers: list[logging.Handler]) -> None:
    """``logging.basicConfig``, which adds only the run's file if the program has configured logging itself."""
    terminal, file = handlers
    root = logging.getLogger()
    if not root.handlers:
        root.setLevel(level)
        own_handlers.add(terminal)
    own_handlers.add(file)


@own_logs("recbole.utils.logger:init_logger")
def init_logger(original: Callable[["Config"], None]) -> Callable[["Config"], None]:
    """Run RecBole's code after removing the handlers of the previous run."""

    def init(config: "Config") -> None:
        own_handlers.remove_all()
        names = {name: getattr(logging, name) for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")}
        names |= {"Formatter": logging.Formatter, "StreamHandler": logging.StreamHandler}
        log = SimpleNamespace(FileHandler=_NewFile, basicConfig=_basic_config, **names)
        with_globals(original, logging=log)(config)  # made here, to use patches applied since
        for handler in own_handlers.handlers():
            handler.addFilter(_controls_written_out)
        if in_notebook():
            logging.getLogger().addFilter(_settings_at_debug)  # adding it again changes nothing

    return init


def _controls_written_out(record: logging.LogRecord) -> bool:
    """Escape terminal control codes, which names of files, columns and items may contain; colour codes stay."""
    record.msg, record.args = printable_log(record.getMessage()), ()
    return True


def _settings_at_debug(record: logging.LogRecord) -> bool:
    """Log RecBole's Config at DEBUG level, because its two hundred lines are too many for a notebook cell."""
    if type(record.msg).__name__ == "Config" and record.levelno == logging.INFO:
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    return True


@own_logs("recbole.utils.utils:get_tensorboard")
def get_tensorboard(original: Callable[..., "SummaryWriter"]) -> Callable[..., "SummaryWriter"]:
    """Name the folder after the run's own log file, not after the first one of the program."""

    def get(logger: logging.Logger) -> "SummaryWriter":
        files = [each for each in own_handlers.handlers() if isinstance(each, _NewFile)]
        return original(SimpleNamespace(handlers=files) if files else logger)

    return get
