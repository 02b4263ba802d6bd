"""The command `recbole-li prepare`: RecBole's atomic files from raw files."""

import argparse
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_longinterest.cli.arguments import Commands, ShowAndExit, add_command, count
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.printable import printable
from recbole_longinterest.prepare.duplicates import DUPLICATES

if TYPE_CHECKING:
    from recbole_longinterest.prepare.sources.base import RawSource

DESCRIPTION = "Turn raw files of a data set into RecBole's atomic files, with a report of what was dropped."


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`; its sources are looked up only if it is the command that runs."""
    parser = add_command(
        commands,
        "prepare",
        "turn raw files into a data set",
        DESCRIPTION,
        stopped="stopped; nothing is written.",
        add_help=False,
    )
    parser.add_argument("-h", "--help", action=_ShowSources)
    parser.add_argument("source", metavar="FILES", help="what the raw files are, see below")
    parser.add_argument("rest", metavar="...", nargs=argparse.REMAINDER, help="where they are, and what to do")


class _ShowSources(ShowAndExit):
    """``prepare --help``, which finds the sources of installed packages only when it is asked for: that takes 0.1 s."""

    what = "this help message"

    def show(self, parser: argparse.ArgumentParser) -> None:
        """See :meth:`ShowAndExit.show`."""
        from recbole_longinterest.prepare.sources.registry import known_sources  # saves start-up time

        sources = known_sources()
        width = max(map(len, sources))
        lines = [f"  {name:{width}}  {source.summary}" for name, source in sources.items()]
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = "\n".join(["FILES is one of:", *lines, "", "prepare FILES --help lists the arguments."])
        parser.print_help()


def _parse(name: str, words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The name of a source, and the arguments behind it."""
    from recbole_longinterest.prepare.sources.registry import known_sources  # saves start-up time

    sources = known_sources()
    if name not in sources:
        raise LongInterestError(f"prepare must be told what the files are, one of {', '.join(sources)}; got {name!r}.")
    args, others = source_parser(name, sources[name]).parse_known_args(words)
    if others:
        raise LongInterestError(f"prepare has no argument {others[0]}; recbole-li prepare {name} --help lists them.")
    return name, vars(args)


def source_parser(name: str, source: "RawSource") -> argparse.ArgumentParser:
    """Make the parser of `recbole-li prepare NAME`.

    Args:
        name: of the source.
        source: adds the arguments of its own.
    """
    parser = argparse.ArgumentParser(
        prog=f"recbole-li prepare {name}",
        description=f"{source.summary[0].upper()}{source.summary[1:]}.",
        allow_abbrev=False,
    )
    _add_common(parser)
    source.add_arguments(parser)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="name of the data set (default: from the files)")
    parser.add_argument(
        "--output",
        "--data_path",
        type=Path,
        default=Path("dataset"),
        metavar="DIR",
        help="folder above it (default: dataset)",
    )
    parser.add_argument("--dry-run", action="store_true", help="report, and write nothing")
    parser.add_argument("--strict", action="store_true", help="stop at the first bad row, with its file and line")
    parser.add_argument("--overwrite", action="store_true", help="replace a data set of this name")
    parser.add_argument("--plots", action="store_true", help="draw the report's distributions, too")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    parser.add_argument(
        "--encoding",
        help="of CSV and MovieLens files (default: UTF-8, UTF-16, and Latin-1 for values that are neither)",
    )
    parser.add_argument(
        "--time-format",
        metavar="FORMAT",
        help="of times that are not recognised: a format as in strptime (%%d.%%m.%%Y), or a unit (excel, days, "
        "seconds, milliseconds, microseconds, nanoseconds, minutes, hours, filetime, ticks)",
    )
    rules = "; ".join(f"{name}: {rule}" for name, rule in DUPLICATES.items())
    parser.add_argument("--duplicates", choices=DUPLICATES, help=f"{rules} (default: last for reviews, else exact)")
    parser.add_argument("--min-rating", type=_number, metavar="R", help="drop events of a lower rating, or of none")
    parser.add_argument("--since", metavar="DATE", help="drop earlier events: 2020-01-31, with a time, or seconds; UTC")
    parser.add_argument("--until", metavar="DATE", help="drop later events; a day is kept to its end")
    parser.add_argument("--users", type=count, metavar="N", help="draw N users")
    parser.add_argument("--seed", type=_seed, default=0, help="of that draw (default: 0)")
    parser.add_argument(
        "--core", type=count, default=0, metavar="K", help="events that every user and item has, iterated"
    )
    parser.add_argument("--target-behavior", metavar="NAME", help="make it the target in the yaml file")


def _number(text: str) -> float:
    try:
        if math.isfinite(float(text)):
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be a number; got {text!r}")


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0; got {text!r}")
    return int(text)


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Prepare a data set.

    Args:
        args: of :func:`add_arguments`.
        settings: arguments in front of FILES that the parser does not know.

    Returns:
        The report, and the next command.
    """
    name, given = _parse(args.source, [*args.rest, *settings])
    # saves start-up time: these import pandas and pyarrow
    from recbole_longinterest.prepare.prepare_data import prepare_data
    from recbole_longinterest.prepare.report import as_text

    try:
        done = prepare_data(name, show_progress=not given.pop("quiet"), **given)
    except OSError as error:  # of a path that this user may not look at, or whose name is too long
        raise LongInterestError(f"{error}. Nothing is written.") from error
    said = as_text(done.report) + "".join(f"{printable(note)}\n" for note in done.report["notes"])
    if given["dry_run"]:
        return f"{said}Dry run: nothing is written.\n"
    written = "".join(f"{printable(file)}\n" for file in done.files)
    return f"{said}\n{written}\nrecbole-li run --dataset {done.name} --data_path {shlex.quote(str(given['output']))}\n"
