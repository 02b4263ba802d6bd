"""Shared arguments of commands that read an exported model, its engine and a file of events."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import write_text
from recbole_longinterest.common.printable import printable

if TYPE_CHECKING:
    import pandas as pd

    from recbole_longinterest.serving.events import History
    from recbole_longinterest.serving.recommender import Recommender


def add_model_and_history(
    parser: argparse.ArgumentParser, ids: Sequence[str] = (), history: str | None = "required"
) -> None:
    """Add the arguments for the model, its engine, the file of events and the file's columns.

    Args:
        parser: parser of the command.
        ids: the kinds, ``user`` or ``item``, whose option ``--user`` or ``--item`` takes an id; see :func:`add_id`.
        history: ``"required"``, ``"optional"``, or None for a command without ``--history``.
    """
    parser.add_argument("--model", "-m", required=True, metavar="DIR", help="folder made by recbole-li export")
    if history is not None:
        parser.add_argument(
            "--history",
            required=history == "required",
            metavar="FILE",
            help="events with the training's columns (user_id, item_id, rating, timestamp, ...): "
            ".csv, .tsv, .parquet, .jsonl or .inter; times in the unit used in training, or ISO dates",
        )
    parser.add_argument(
        "--engine", default="torch", metavar="NAME", help="torch (the default), onnx, or an installed engine"
    )
    columns = parser.add_argument_group("names of the file's columns, if they differ from the training's")
    for kind in ("user", "item", "time", "rating", "behavior"):
        names = [f"--{kind}-column"] if kind in ids else [f"--{kind}", f"--{kind}-column"]
        columns.add_argument(
            *names,
            dest=f"{kind}_column",
            metavar="COLUMN",
            help=f"column of the {kind.replace('behavior', 'behaviour')}s",
        )
    columns.add_argument(
        "--time-format", metavar="FORMAT", help="format of dates that are not ISO, as in strptime: %%d.%%m.%%Y"
    )


def add_at(parser: argparse.ArgumentParser) -> None:
    """Add ``--at``, the time of the request."""
    parser.add_argument(
        "--at",
        metavar="TIME",
        help="time of the request, for a model trained with request_time; in the unit used in training, or an ISO date "
        "(default: now)",
    )


def columns_in(args: argparse.Namespace) -> dict[str, str]:
    """Return the column names given on the command line, by kind; see :func:`add_model_and_history`."""
    named = {kind: getattr(args, f"{kind}_column") for kind in ("user", "item", "time", "rating", "behavior")}
    return {kind: name for kind, name in named.items() if name is not None}


def add_id(parser: argparse.ArgumentParser, kind: str, help: str) -> None:
    """Add ``--user`` or ``--item``, which takes an id; a column's name is accepted too, as in `recommend`."""
    parser.add_argument(
        f"--{kind}", action="append", metavar="ID", help=f"{help}; --{kind}-column gives the name of the file's column"
    )


def read_events(
    path: str, model: "Recommender", columns: Mapping[str, str] | None = None, time_format: str | None = None
) -> "pd.DataFrame":
    """Read the events of a file; an ``.inter`` file must have the separator and encoding used in training.

    Args:
        path: the file.
        model: the model, which defines column names, units and features.
        columns: names of the file's columns that differ from the model's, by kind.
        time_format: format of dates that are not ISO.
    """
    return _events(_read_file(path, model), path, model, columns, time_format)


def events_of(args: argparse.Namespace, model: "Recommender") -> "pd.DataFrame":
    """Read the events of ``--history``, see :func:`add_model_and_history`.

    If ``--user`` and ``--item`` accept ids and column names, ``args`` keeps only the ids.

    Raises:
        LongInterestError: if the file cannot be read, or more than one id or column of a kind is given.
    """
    table = _read_file(args.history, model)
    for kind in ("user", "item"):
        given = getattr(args, kind, None)
        if isinstance(given, list):
            ids = [name for name in given if name not in table.columns]
            columns = [name for name in given if name in table.columns]
            columns += filter(None, [getattr(args, f"{kind}_column")])
            if len(ids) > 1 or len(columns) > 1:
                raise LongInterestError(
                    f"--{kind} takes one id and at most one column name; got {', '.join(given)}. "
                    f"{args.history} has the columns {', '.join(map(str, table.columns))}."
                )
            setattr(args, kind, ids[0] if ids else None)
            setattr(args, f"{kind}_column", columns[0] if columns else None)
    named = {kind: getattr(args, f"{kind}_column") for kind in ("user", "item", "time", "rating", "behavior")}
    return _events(table, args.history, model, named, args.time_format)


def _read_file(path: str, model: "Recommender") -> "pd.DataFrame":
    from recbole_longinterest.serving.event_files import read_file  # saves start-up time: pandas

    about = model.served.about.get("text") or {}
    return read_file(path, about.get("field_separator") or "\t", about.get("encoding") or "utf-8")


def _events(
    table: "pd.DataFrame", path: str, model: "Recommender", columns: Mapping[str, str] | None, time_format: str | None
) -> "pd.DataFrame":
    from recbole_longinterest.serving.event_files import events_in  # saves start-up time: pandas

    features = list(model.reader.columns().values())
    return events_in(table, path, model.served.fields, features, columns, model.reader.times, time_format)


def one_user(model: "Recommender", args: argparse.Namespace) -> "tuple[str, History]":
    """Return the user named by ``--user``, or the only user of the file, with the history.

    Raises:
        LongInterestError: if the file lacks that user, or has several users and ``--user`` is not given.
    """
    histories = model.read_table(events_of(args, model))
    if args.user is None and len(histories) > 1:
        raise LongInterestError(f"{args.history} has {len(histories):,} users. Choose one with --user.")
    user = args.user if args.user is not None else next(iter(histories))
    if user not in histories:
        raise LongInterestError(f"{args.history} has no user {user}. It has {len(histories):,} other users.")
    return user, histories[user]


def write(path: str, content: str) -> str:
    """Write a file and return a line that names it.

    Raises:
        LongInterestError: if the file cannot be written.
    """
    try:
        write_text(Path(path), content)
    except OSError as error:
        raise LongInterestError(f"{path} could not be written: {error}") from error
    return f"written: {printable(path)}\n"
