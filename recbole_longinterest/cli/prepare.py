"""The command `recbole-li prepare`: RecBole's atomic files from raw files."""

import argparse
import math
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_longinterest.cli.arguments import Commands, add_command, count
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.duplicates import DUPLICATES

if TYPE_CHECKING:
    from recbole_longinterest.prepare.sources.base import Dialect


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands,
        "prepare",
        "turn raw files into a data set",
        "Turn raw files of a data set into RecBole's atomic files, with a report of what was dropped.",
        stopped="stopped; nothing is written.",
    )
    sources = parser.add_subparsers(required=True, metavar="FILES", dest="dialect")
    _movielens(sources)
    _amazon(sources)
    _steam(sources)
    _csv(sources)


def _add(
    sources: Commands, name: str, make: "Callable[[argparse.Namespace], Dialect]", summary: str
) -> argparse.ArgumentParser:
    parser = sources.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
    )
    parser.set_defaults(make_dialect=make)
    _add_common(parser)
    return parser


def _movielens(sources: Commands) -> None:
    parser = _add(
        sources,
        "movielens",
        _make_movielens,
        "MovieLens 100k to 32m, latest and latest-small",
    )
    parser.add_argument("path", type=Path, metavar="PATH", help="the zip, its folder, or the ratings file in it")


def _make_movielens(args: argparse.Namespace) -> "Dialect":
    from recbole_longinterest.prepare.sources.movielens import movielens  # saves start-up time: pyarrow

    return movielens(args.path, args.encoding)


def _amazon(sources: Commands) -> None:
    parser = _add(
        sources,
        "amazon",
        _make_amazon,
        "Amazon reviews of 2014, 2018 and 2023",
    )
    parser.add_argument("--reviews", type=Path, nargs="+", required=True, metavar="FILE", help="reviews or ratings")
    parser.add_argument("--meta", type=Path, nargs="+", default=[], metavar="FILE", help="product data, for texts")


def _make_amazon(args: argparse.Namespace) -> "Dialect":
    from recbole_longinterest.prepare.sources.amazon import amazon  # saves start-up time: pyarrow

    return amazon(args.reviews, args.meta, args.encoding)


def _steam(sources: Commands) -> None:
    parser = _add(sources, "steam", _make_steam, "Steam reviews and games")
    parser.add_argument("path", type=Path, nargs="?", metavar="PATH", help="folder with the files of reviews and games")
    parser.add_argument("--reviews", type=Path, nargs="+", default=[], metavar="FILE", help="reviews")
    parser.add_argument("--games", "--meta", type=Path, nargs="+", default=[], metavar="FILE", help="games, for texts")


def _make_steam(args: argparse.Namespace) -> "Dialect":
    from recbole_longinterest.prepare.sources.steam import steam  # saves start-up time: pyarrow

    paths = [*([args.path] if args.path else []), *args.reviews]
    if not paths:
        raise LongInterestError("prepare steam needs a folder, or --reviews FILE.")
    return steam(paths, args.games)


def _csv(sources: Commands) -> None:
    parser = _add(sources, "csv", _make_csv, "CSV, TSV, Parquet or JSON lines, with columns that you name")
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="files or folders of events")
    for role in ("user", "item", "time"):
        parser.add_argument(f"--{role}", required=True, metavar="COLUMN", help=f"column of the {role}s")
    parser.add_argument("--rating", metavar="COLUMN", help="column of the ratings")
    parser.add_argument("--behavior", metavar="COLUMN", help="column of what the user did: click, cart, purchase")
    parser.add_argument("--text", default="", metavar="A,B", help="columns of the items' texts")
    parser.add_argument(
        "--items", type=Path, nargs="+", default=[], metavar="FILE", help="files that hold these columns"
    )
    parser.add_argument("--separator", metavar="TEXT", help="between values; found from the first line unless given")
    parser.add_argument("--no-header", action="store_true", help="the first line is a row; columns are 1, 2, 3 ...")
    parser.add_argument("--no-quotes", action="store_true", help="double quotes mean nothing")


def _make_csv(args: argparse.Namespace) -> "Dialect":
    # saves start-up time: these import pyarrow
    from recbole_longinterest.prepare.events import Roles
    from recbole_longinterest.prepare.sources import tables

    form = tables.Form(args.encoding, _separator(args.separator), not args.no_header, not args.no_quotes)
    roles = Roles(args.user, args.item, args.time, args.rating, args.behavior)
    text = [name.strip() for name in args.text.split(",") if name.strip()]
    return tables.table(args.paths, roles, text, args.items, form)


def _separator(given: str | None) -> str | None:
    if given is None:
        return None
    separator = given.replace("\\t", "\t")
    if len(separator) != 1 and separator != "::":
        raise LongInterestError(f"--separator must be one character, \\t or ::; got {given!r}.")
    return separator


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
        help="of CSV and MovieLens files (default: UTF-8, and Latin-1 for values that are not, as JSON is read)",
    )
    parser.add_argument(
        "--time-format", metavar="FORMAT", help="of dates that are not ISO, as in strptime: %%d.%%m.%%Y"
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
        settings: none.

    Returns:
        The report, and the next command.
    """
    if settings:
        raise LongInterestError(
            f"prepare has no argument {settings[0]}; recbole-li prepare {args.dialect} --help lists them."
        )
    try:
        return _prepared(args)
    except OSError as error:  # of a path that this user may not look at, or whose name is too long
        raise LongInterestError(f"{error}. Nothing is written.") from error


def _prepared(args: argparse.Namespace) -> str:
    # saves start-up time: these import pandas and pyarrow
    from recbole_longinterest.prepare.filters import Filters, day
    from recbole_longinterest.prepare.pipeline import Options, prepare
    from recbole_longinterest.prepare.report import as_text

    dialect = args.make_dialect(args)
    filters = Filters(
        duplicates=args.duplicates or dialect.duplicates,
        min_rating=args.min_rating,
        since=None if args.since is None else day(args.since),
        until=None if args.until is None else day(args.until, end=True),
        users=args.users,
        seed=args.seed,
        core=args.core,
    )
    options = Options(
        output=args.output,
        name=args.name,
        dry_run=args.dry_run,
        strict=args.strict,
        overwrite=args.overwrite,
        plots=args.plots,
        time_format=args.time_format,
        target_behavior=args.target_behavior,
        progress=not args.quiet,
    )
    done = prepare(dialect, filters, options)
    said = as_text(done.report) + "".join(f"{note}\n" for note in done.report["notes"])
    if args.dry_run:
        return f"{said}Dry run: nothing is written.\n"
    written = "".join(f"{file}\n" for file in done.files)
    return f"{said}\n{written}\nrecbole-li run --dataset {done.name} --data_path {shlex.quote(str(args.output))}\n"
