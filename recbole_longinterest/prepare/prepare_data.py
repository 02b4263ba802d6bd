"""Make RecBole's atomic files from raw files, from Python or as `recbole-li prepare`."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.sources.base import RawSource
from recbole_longinterest.prepare.sources.registry import known_sources

if TYPE_CHECKING:
    from recbole_longinterest.prepare.pipeline import Prepared


def prepare_data(
    source: str | RawSource,
    *,
    output: str | Path = "dataset",
    name: str | None = None,
    dry_run: bool = False,
    strict: bool = False,
    overwrite: bool = False,
    plots: bool = False,
    encoding: str | None = None,
    time_format: str | None = None,
    duplicates: str | None = None,
    min_rating: float | None = None,
    since: str | None = None,
    until: str | None = None,
    users: int | None = None,
    seed: int = 0,
    core: int = 0,
    target_behavior: str | None = None,
    show_progress: bool = True,
    **arguments: object,
) -> "Prepared":
    """Turn raw files into a data set that RecBole loads, with a report of what was dropped.

    Example:
        >>> prepare_data("movielens", path="ml-1m.zip", core=5)
        >>> prepare_data("amazon", reviews=["All_Beauty.jsonl.gz"], meta=["meta_All_Beauty.jsonl.gz"])
        >>> prepare_data("csv", paths=["events.csv"], user="customer", item="product", time="bought_at")
        >>> prepare_data("csv", paths=["ratings.csv"], user="reader", item="ISBN", order="file")

    Args:
        source: kind of raw files: ``"movielens"``, ``"amazon"``, ``"steam"``, ``"csv"``, or a registered one.
        output: folder above the data set's.
        name: of the data set; from the files if None.
        dry_run: report only; write nothing.
        strict: stop at the first bad row, with its file and line.
        overwrite: replace a data set of this name.
        plots: draw the report's distributions, too.
        encoding: of CSV and MovieLens files; UTF-8 if None, and Latin-1 for values that are not.
        time_format: of times that are not recognised: a format as in ``strptime``, or a unit, a key of
            :data:`~recbole_longinterest.prepare.cleaning.number_dates.NAMED`.
        duplicates: rule for repeated events, a key of :data:`~recbole_longinterest.prepare.duplicates.DUPLICATES`; the
            source's own if None.
        min_rating: drop events of a lower rating, and those without a rating.
        since: drop earlier events: a date such as ``"2020-01-31"``, with a time, or seconds; UTC.
        until: drop later events. A day is kept to its end.
        users: draw so many users.
        seed: of that draw.
        core: events that every user and item has, iterated.
        target_behavior: make it the target in the data set's yaml file.
        show_progress: show progress bars.
        arguments: where the files are: those of ``recbole-li prepare SOURCE``, by name, as in the examples.

    Returns:
        Name of the data set, the report, and the files that were written.

    Raises:
        LongInterestError: for arguments and files that cannot be used. Nothing is written then.
    """
    # late, because `recbole-li prepare --help` imports this module: these import pandas and pyarrow
    from recbole_longinterest.prepare.filters import Filters, day
    from recbole_longinterest.prepare.pipeline import Options, prepare

    chosen = source if isinstance(source, RawSource) else _source(source)
    data = chosen.open(argparse.Namespace(encoding=encoding, **_arguments(chosen, arguments)))
    filters = Filters(
        duplicates=duplicates or data.duplicates,
        min_rating=min_rating,
        since=None if since is None else day(since),
        until=None if until is None else day(until, end=True),
        users=users,
        seed=seed,
        core=core,
    )
    options = Options(
        output=Path(output),
        name=name,
        dry_run=dry_run,
        strict=strict,
        overwrite=overwrite,
        plots=plots,
        time_format=time_format,
        target_behavior=target_behavior,
        progress=show_progress,
    )
    return prepare(data, filters, options)


def _source(name: str) -> RawSource:
    sources = known_sources()
    if name not in sources:
        raise LongInterestError(f"source must be one of {', '.join(sources)}; got {name!r}.")
    return sources[name]


def _arguments(source: RawSource, given: Mapping[str, object]) -> dict[str, object]:
    """The source's own arguments, as its parser would give them: with defaults, and paths in place of texts."""
    parser = argparse.ArgumentParser(add_help=False)
    source.add_arguments(parser)
    known = {action.dest: action for action in parser._actions}  # argparse has no public list of them
    for name in given:
        if name not in known:
            raise LongInterestError(
                f"The source {source.name} has no argument {name}; it has {', '.join(known) or 'none of its own'}."
            )
    missing = [name for name, action in known.items() if action.required and given.get(name) is None]
    if missing:
        raise LongInterestError(f"The source {source.name} needs {', '.join(missing)}.")
    return {name: _read(action, given[name]) if name in given else action.default for name, action in known.items()}


def _read(action: argparse.Action, value: object) -> object:
    """A value that may be given as a text, or as one in place of a list."""
    if action.nargs in ("+", "*"):
        values = [value] if isinstance(value, (str, Path)) or not hasattr(value, "__iter__") else list(value)
        return [_convert(action, part) for part in values]
    return _convert(action, value)


def _convert(action: argparse.Action, value: object) -> object:
    return action.type(value) if isinstance(value, str) and callable(action.type) else value
