"""Convert raw files to RecBole's atomic files, from Python or with `recbole-li prepare`."""

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
    format: str = "inter",
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
        output: parent of the data set's folder.
        name: name of the data set; None to take it from the files.
        dry_run: report only; write nothing.
        strict: raise an error at the first bad row, with its file and line.
        overwrite: replace an existing data set of this name.
        plots: draw the report's distributions, too.
        encoding: encoding of CSV and MovieLens files; None for UTF-8, with Latin-1 for values that are not UTF-8.
        time_format: format of times that are not recognised: a ``strptime`` format, or a unit such as ``"excel"``,
            ``"days"``, ``"seconds"`` or ``"ticks"``.
        duplicates: rule for duplicate events: ``"keep"`` keeps all; ``"exact"`` drops events with the same user, item,
            time and behaviour; ``"first"`` and ``"last"`` keep one event of each user, item and behaviour. None means
            ``"last"`` for reviews, else ``"exact"``.
        min_rating: drop events with a lower rating or without a rating.
        since: drop earlier events: a date such as ``"2020-01-31"``, optionally with a time, or seconds; UTC.
        until: drop later events. A date without a time includes the whole day.
        users: number of users to sample.
        seed: random seed of the sample.
        core: minimum number of events of every user and item, applied iteratively.
        target_behavior: behaviour to set as the target in the data set's yaml file.
        format: format of the events: ``"inter"``, RecBole's text file, or ``"parquet"``, for large logs.
        show_progress: show progress bars.
        arguments: arguments of ``recbole-li prepare SOURCE``, such as the paths of the files; see the examples.

    Returns:
        Name of the data set, the report, and the written files.

    Raises:
        LongInterestError: for arguments and files that cannot be used. Nothing is written then.
    """
    # late: these import pandas and pyarrow, which `recbole-li prepare --help` does not need
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
        form=format,
        progress=show_progress,
    )
    return prepare(data, filters, options)


def _source(name: str) -> RawSource:
    sources = known_sources()
    if name not in sources:
        raise LongInterestError(f"source must be one of {', '.join(sources)}; got {name!r}.")
    return sources[name]


def _arguments(source: RawSource, given: Mapping[str, object]) -> dict[str, object]:
    """Convert the source's arguments as its parser would: fill in defaults, and turn texts into paths."""
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
    """Convert a value; a single value may be given for a list, and a text for a path."""
    if action.nargs in ("+", "*"):
        values = [value] if isinstance(value, (str, Path)) or not hasattr(value, "__iter__") else list(value)
        return [_convert(action, part) for part in values]
    return _convert(action, value)


def _convert(action: argparse.Action, value: object) -> object:
    return action.type(value) if isinstance(value, str) and callable(action.type) else value
