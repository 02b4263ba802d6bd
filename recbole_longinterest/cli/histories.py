"""What `recommend`, `explain` and `profile` share: an exported model, its engine, and a file of events."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import write_text

if TYPE_CHECKING:
    import pandas as pd

    from recbole_longinterest.serving.events import History
    from recbole_longinterest.serving.recommender import Recommender


def add_model_and_history(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name them."""
    parser.add_argument("--model", "-m", required=True, metavar="DIR", help="folder made by recbole-li export")
    parser.add_argument(
        "--history",
        required=True,
        metavar="FILE",
        help="events with the training's columns (user_id, item_id, rating, timestamp, ...): .csv, .jsonl or .inter",
    )
    parser.add_argument("--engine", default="torch", metavar="NAME", help="torch (the default), onnx, or another one")


def read_events(path: str, model: "Recommender") -> "pd.DataFrame":
    """Events of a file; an ``.inter`` file has the separator and encoding of the training's."""
    from recbole_longinterest.serving import event_files  # saves start-up time: pandas

    about = model.served.about.get("text") or {}
    form = about.get("field_separator") or "\t", about.get("encoding") or "utf-8"
    return event_files.read_events(path, model.served.fields, *form, list(model.reader.columns().values()))


def one_user(model: "Recommender", path: str, wanted: str | None) -> "tuple[str, History]":
    """The wanted user of a file of events, or its only one.

    Raises:
        LongInterestError: if the file lacks that user, or has several and none is wanted.
    """
    histories = model.read_table(read_events(path, model))
    if wanted is None and len(histories) > 1:
        raise LongInterestError(f"{path} has {len(histories):,} users; name one as --user.")
    user = wanted if wanted is not None else next(iter(histories))
    if user not in histories:
        raise LongInterestError(f"{path} has no user {user}; it has {len(histories):,}.")
    return user, histories[user]


def write(path: str, content: str) -> str:
    """Write a file, and say so.

    Raises:
        LongInterestError: if it cannot be written.
    """
    try:
        write_text(Path(path), content)
    except OSError as error:
        raise LongInterestError(f"{path} could not be written: {error}") from error
    return f"written: {path}\n"
