"""Choose the command line that a Config reads."""

import contextlib
import site
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError

_arguments: ContextVar[Sequence[str] | None] = ContextVar("command_line", default=None)


class CommandLineError(SyntaxError, LongInterestError):
    """The command line is wrong. It is a SyntaxError, because RecBole raises one."""


@contextlib.contextmanager
def command_line(args: Sequence[str]) -> Iterator[None]:
    """Make every Config that is created inside read these arguments instead of the process's own.

    Args:
        args: settings as ``--key=value``.
    """
    token = _arguments.set(tuple(args))
    try:
        yield
    finally:
        _arguments.reset(token)


def is_given() -> bool:
    """Whether the arguments come from :func:`command_line`, not from ``sys.argv`` of a user's script."""
    return _arguments.get() is not None


def read_command_line() -> tuple[dict[str, str], list[str]]:
    """Read the settings of the command line, and the arguments that are not settings.

    They come from :func:`command_line`, or else from sys.argv if the program is a user's own script.

    Raises:
        CommandLineError: if a key has two values.
    """
    arguments = _arguments.get()
    if arguments is None:
        arguments = sys.argv[1:] if _is_user_script(sys.argv[0] if sys.argv else "") else ()
    settings: dict[str, str] = {}
    unused = []
    for argument in arguments:
        key, equals, value = argument[2:].partition("=")
        if not argument.startswith("--") or not equals:
            unused.append(argument)
        elif settings.get(key, value) != value:
            raise CommandLineError(
                f"There are duplicate command line arguments for {key} with different values: "
                f"{settings[key]} and {value}."
            )
        else:
            settings[key] = value
    return settings, unused


def _is_user_script(program: str) -> bool:
    path = Path(program)
    if path.suffix != ".py" or path.name == "ipykernel_launcher.py":
        return False
    path = path.resolve()
    if {"site-packages", "dist-packages"} & set(path.parts):
        return False
    installed = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    installed |= {*site.getsitepackages(), site.getusersitepackages()}
    return not any(path.is_relative_to(Path(folder).resolve()) for folder in installed if folder)
