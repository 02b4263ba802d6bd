"""The console command `recbole-li`: a parser and a table of commands.

Each command is a module with two functions. ``add_arguments(commands)`` adds the command to the parser, and
``run(args, settings)`` does the work and returns the text to print. Slow imports, such as torch, RecBole, ray and
pandas, are inside ``run``, so that ``--help`` and errors in arguments appear at once.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Protocol

from recbole_longinterest.cli import (
    adapt,
    add_items,
    columns,
    compare,
    completion,
    doctor,
    encode,
    explain,
    export,
    export_vectors,
    forget,
    graph,
    prepare,
    profile,
    recommend,
    run,
    serve,
    strategies,
    tune,
    update,
    verify,
)
from recbole_longinterest.cli.arguments import Commands, ShowAndExit
from recbole_longinterest.cli.interrupts import stoppable
from recbole_longinterest.cli.outcome import finish

DESCRIPTION = (
    "LongInterest for RecBole: prepare data; train, tune and compare recommenders; export and serve them. "
    "recbole-li COMMAND --help describes a command."
)


class Command(Protocol):
    """The functions of a command's module."""

    def add_arguments(self, commands: Commands) -> None:
        """Add the command and its arguments to the parser."""

    def run(self, args: argparse.Namespace, settings: Sequence[str]) -> str:
        """Do the work; ``settings`` holds the arguments that the parser does not know."""


COMMANDS: dict[str, Command] = {
    "run": run,
    "encode": encode,
    "adapt": adapt,
    "columns": columns,
    "graph": graph,
    "prepare": prepare,
    "tune": tune,
    "compare": compare,
    "export": export,
    "recommend": recommend,
    "export-vectors": export_vectors,
    "explain": explain,
    "profile": profile,
    "strategies": strategies,
    "update": update,
    "forget": forget,
    "add-items": add_items,
    "doctor": doctor,
    "verify": verify,
    "serve": serve,
    "completion": completion,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `recbole-li`.

    Args:
        argv: arguments after the program's name; the process's own if None.

    Returns:
        Exit code, see :func:`~recbole_longinterest.cli.outcome.finish`.
    """
    args, settings = make_parser().parse_known_args(argv)
    with stoppable():
        return finish(lambda: COMMANDS[args.command].run(args, settings), args.stopped)


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of `recbole-li` with all its commands."""
    parser = argparse.ArgumentParser(prog="recbole-li", description=DESCRIPTION)
    parser.add_argument("--version", action=_PrintVersion)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for command in COMMANDS.values():
        command.add_arguments(commands)
    return parser


def run_script(argv: Sequence[str] | None = None) -> int:
    """Run `run_recbole_li.py`, which does the same as `recbole-li run`; see :func:`main`."""
    parser = argparse.ArgumentParser(
        prog="run_recbole_li.py", description=run.DESCRIPTION, epilog=run.EPILOG, allow_abbrev=False
    )
    parser.add_argument("--version", action=_PrintVersion)
    run.add_run_arguments(parser)
    args, settings = parser.parse_known_args(argv)
    with stoppable():
        return finish(lambda: run.run(args, settings), "stopped.")


class _PrintVersion(ShowAndExit):
    """``--version``. It looks versions up only if it is given, because that takes 0.1 s."""

    what = "the versions of this package and its main dependencies"

    def show(self, parser: argparse.ArgumentParser) -> None:
        """See :meth:`ShowAndExit.show`."""
        from recbole_longinterest.common.version import __version__, versions_of  # saves start-up time

        lines = [f"{parser.prog} {__version__}", *(f"{name} {version}" for name, version in versions_of().items())]
        sys.stdout.write("\n".join(lines) + "\n")
