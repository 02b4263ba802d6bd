"""The command `recbole-li prepare`: convert raw files to RecBole's atomic files."""

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

DESCRIPTION = "Convert raw files of a data set to RecBole's atomic files, with a report of dropped rows."


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`. Its sources are looked up only when `prepare` runs."""
    parser = add_command(
        commands,
        "prepare",
        "convert raw files to a data set",
        DESCRIPTION,
        stopped="stopped; nothing was written.",
        add_help=False,
    )
    parser.add_argument("-h", "--help", action=_ShowSources)
    parser.add_argument("source", metavar="KIND", help="kind of the raw files, see below")
    parser.add_argument("rest", metavar="...", nargs=argparse.REMAINDER, help="paths and options of this kind of files")


class _ShowSources(ShowAndExit):
    """``prepare --help``. It looks up the sources of installed packages only if it is given: that takes 0.1 s."""

    what = "this help message"

    def show(self, parser: argparse.ArgumentParser) -> None:
        """See :meth:`ShowAndExit.show`."""
        from recbole_longinterest.prepare.sources.registry import known_sources  # saves start-up time

        sources = known_sources()
        width = max(map(len, sources))
        lines = [f"  {name:{width}}  {source.summary}" for name, source in sources.items()]
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        ends = ["", "recbole-li prepare KIND --help lists its arguments."]
        parser.epilog = "\n".join(["KIND is one of:", *lines, *ends])
        parser.print_help()


def _parse(name: str, words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return the name of a source and its parsed arguments."""
    from recbole_longinterest.prepare.sources.registry import known_sources  # saves start-up time

    sources = known_sources()
    if name not in sources:
        kinds = ", ".join(sources)
        raise LongInterestError(
            f"The kind of the raw files must be one of {kinds}; got {name!r}. For a file of your own "
            "write recbole-li prepare csv FILE."
        )
    args, others = source_parser(name, sources[name]).parse_known_args(words)
    if others:
        raise LongInterestError(f"prepare has no argument {others[0]}; recbole-li prepare {name} --help lists them.")
    return name, vars(args)


def source_parser(name: str, source: "RawSource") -> argparse.ArgumentParser:
    """Make the parser of `recbole-li prepare NAME`.

    Args:
        name: name of the source.
        source: the source, which adds its own arguments.
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
        help="folder in which to make the data set's folder (default: dataset)",
    )
    parser.add_argument(
        "--format",
        choices=("inter", "parquet"),
        default="inter",
        help="format of the events: RecBole's text file, or a Parquet file for large logs (default: inter)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the report, but write nothing")
    parser.add_argument("--strict", action="store_true", help="stop at the first bad row and name its file and line")
    parser.add_argument("--overwrite", action="store_true", help="replace a data set of this name")
    parser.add_argument("--plots", action="store_true", help="also plot the distributions of the report")
    parser.add_argument("--quiet", action="store_true", help="show no progress bars")
    parser.add_argument(
        "--encoding",
        help="encoding of CSV and MovieLens files (default: UTF-8 or UTF-16, and Latin-1 for other values)",
    )
    parser.add_argument(
        "--time-format",
        metavar="FORMAT",
        help="format of times that are not recognised: as in strptime (%%d.%%m.%%Y), or a unit (excel, days, "
        "seconds, milliseconds, microseconds, nanoseconds, minutes, hours, filetime, ticks)",
    )
    rules = "; ".join(f"{name}: {rule}" for name, rule in DUPLICATES.items())
    parser.add_argument("--duplicates", choices=DUPLICATES, help=f"{rules} (default: last for reviews, else exact)")
    parser.add_argument(
        "--min-rating", type=_number, metavar="R", help="drop events with a lower rating or without one"
    )
    parser.add_argument("--since", metavar="DATE", help="drop earlier events: 2020-01-31, with a time, or seconds; UTC")
    parser.add_argument("--until", metavar="DATE", help="drop later events; a date includes the whole day")
    parser.add_argument("--users", type=count, metavar="N", help="keep N random users")
    parser.add_argument("--seed", type=_seed, default=0, help="seed for --users (default: 0)")
    parser.add_argument(
        "--core", type=count, default=0, metavar="K", help="drop users and items with fewer than K events, repeatedly"
    )
    parser.add_argument("--target-behavior", metavar="NAME", help="behaviour to predict, for the yaml file")


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
        args: parsed arguments, see :func:`add_arguments`.
        settings: unknown arguments before KIND.

    Returns:
        The report, and the next command.
    """
    name, given = _parse(args.source, [*args.rest, *settings])
    # saves start-up time: these import pandas and pyarrow
    from recbole_longinterest.prepare.prepare_data import prepare_data
    from recbole_longinterest.prepare.report import as_text

    try:
        done = prepare_data(name, show_progress=not given.pop("quiet"), **given)
    except OSError as error:  # for example a path without read permission, or a name that is too long
        raise LongInterestError(f"{error}. Nothing was written.") from error
    said = as_text(done.report) + "".join(f"{printable(note)}\n" for note in done.report["notes"])
    if given["dry_run"]:
        return f"{said}Dry run: nothing was written.\n"
    written = "".join(f"{printable(file)}\n" for file in done.files)
    return f"{said}\n{written}\nrecbole-li run --dataset {done.name} --data_path {shlex.quote(str(given['output']))}\n"
