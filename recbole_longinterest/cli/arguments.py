"""Shared parts of the commands: sub-parsers, common arguments, and checks of their values."""

import argparse
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, TypeAlias

from recbole_longinterest.common.errors import LongInterestError

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # argparse has no public name for it


class ShowAndExit(argparse.Action, ABC):
    """An option that prints something and ends the command. The text is made only if the option is given.

    Attributes:
        what: name of the text, for the help.
    """

    what: ClassVar[str]

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=f"show {self.what} and exit")

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Show it and end the command."""
        self.show(parser)
        parser.exit()

    @abstractmethod
    def show(self, parser: argparse.ArgumentParser) -> None:
        """Print it."""


def add_command(
    commands: Commands,
    name: str,
    summary: str,
    description: str | None = None,
    epilog: str | None = None,
    stopped: str = "stopped.",
    add_help: bool = True,
) -> argparse.ArgumentParser:
    """Add a command to the parser of `recbole-li`.

    Args:
        commands: from ``ArgumentParser.add_subparsers``.
        name: what the user types.
        summary: one line for ``recbole-li --help``.
        description: first lines of the command's own help; None for the summary as a sentence.
        epilog: last lines of the command's own help.
        stopped: printed after Ctrl-C.
        add_help: False if the command adds its own ``--help``.

    Returns:
        The command's parser.
    """
    parser = commands.add_parser(
        name,
        help=summary,
        description=description or f"{summary[0].upper()}{summary[1:]}.",
        epilog=epilog,
        allow_abbrev=False,
        add_help=add_help,
    )
    parser.set_defaults(stopped=stopped)
    return parser


def add_config_files(parser: argparse.ArgumentParser) -> None:
    """Add ``--config_files`` and ``--data_path``, the places of settings and data."""
    parser.add_argument(
        "--config_files",
        action="append",
        default=[],
        metavar="FILE",
        help="yaml file of settings; may be repeated, and later files override earlier ones (also several names with "
        "spaces between them: 'one.yaml two.yaml')",
    )
    parser.add_argument(
        "--data_path", metavar="DIR", help="folder that contains the data set's folder (default: dataset)"
    )


def add_long_work(parser: argparse.ArgumentParser, output_required: bool = True) -> None:
    """Add the arguments of both a search and a comparison: places of results, settings and data."""
    parser.add_argument(
        "--output", "-o", type=Path, metavar="DIR", required=output_required, help="folder for all results"
    )
    add_config_files(parser)
    parser.add_argument("--quiet", action="store_true", help="print only results and errors")


def add_cluster(parser: "argparse._ActionsContainer", gpus: bool = True) -> None:
    """Add the address of a Ray cluster and the resources of each worker."""
    parser.add_argument("--address", metavar="RAY", help="a Ray cluster, as 'auto' or host:port (default: a local Ray)")
    parser.add_argument("--cpus-per-worker", type=amount, metavar="N", help="CPU cores; may be a fraction (default: 1)")
    if gpus:
        parser.add_argument("--gpus-per-worker", type=whole, metavar="N", help="GPUs: 0 or 1 (default: 0)")


def refuse_without_ray(args: argparse.Namespace, names: Sequence[str]) -> None:
    """Raise an error for options of Ray without ``--ray``.

    Args:
        args: parsed arguments, with ``ray``.
        names: attributes of ``args`` that need ``--ray``; their value is None if the option was not given.

    Raises:
        LongInterestError: names the first such option.
    """
    given = [name for name in names if getattr(args, name) is not None]
    if given and not args.ray:
        option = f"--{given[0].replace('_', '-')}"
        raise LongInterestError(f"{option} only works with --ray. Add --ray, or leave {option} out.")


def config_files_of(args: argparse.Namespace) -> list[str]:
    """Return the files of ``--config_files``: one per option, or several with spaces between them, as in RecBole."""
    files: list[str] = []
    for given in args.config_files:
        files += [given] if Path(given).is_file() else given.split()
    return files


def settings_of(args: argparse.Namespace, settings: Sequence[str]) -> list[str]:
    """Return all settings of a command line, each as ``--key=value``.

    Args:
        args: parsed arguments; ``data_path`` is added to the settings.
        settings: arguments that the parser did not know.

    Raises:
        LongInterestError: if an argument is not of this form.
    """
    check_settings(settings)
    return [*settings, *([f"--data_path={args.data_path}"] if args.data_path else [])]


def check_settings(settings: Sequence[str]) -> None:
    """Raise an error for arguments that are not ``--key=value``.

    Raises:
        LongInterestError: names the first such argument.
    """
    for setting in settings:
        name, equals, _ = setting.removeprefix("--").partition("=")
        if not (setting.startswith("--") and equals and name.isidentifier()):
            raise LongInterestError(f"{setting} is not a setting; write --key=value, without spaces around '='.")


def refuse_settings(command: str, settings: Sequence[str]) -> None:
    """Raise an error for unknown arguments of a command that takes no settings.

    Raises:
        LongInterestError: names the first such argument.
    """
    if settings:
        raise LongInterestError(f"recbole-li {command} has no argument {settings[0]}; see recbole-li {command} -h.")


def read_places(command: str, settings: Sequence[str]) -> dict[str, object]:
    """Return new paths for those that a checkpoint names, given as ``--key=value``.

    Raises:
        LongInterestError: for any other argument.
    """
    if not settings:
        return {}
    from recbole_longinterest.common.written_values import read_value
    from recbole_longinterest.plugin.runs.places import LIKE_A_PLACE, PLACES

    check_settings(settings)
    named = dict(setting.removeprefix("--").split("=", 1) for setting in settings)
    refuse_settings(command, [f"--{name}" for name in named if name not in PLACES and not LIKE_A_PLACE.search(name)])
    return {name: read_value(value) for name, value in named.items()}


def allow_own_models(models: Sequence[str | None]) -> None:
    """Allow imports from the working folder if the user has named a model of their own as ``module:Class``."""
    if any(":" in model for model in models if model):
        from recbole_longinterest.plugin.own_models import search_folder

        search_folder(Path.cwd())


def count(text: str) -> int:
    """Read a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1; got {text!r}")
    return int(text)


def whole(text: str) -> int:
    """Read a whole number of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0; got {text!r}")
    return int(text)


def amount(text: str) -> float:
    """Read a number of at least 0, as an int if it is whole."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of at least 0; got {text!r}")
    return int(number) if number == int(number) else number
