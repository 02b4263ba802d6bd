"""Convert new events in CSV, Parquet or JSON lines to an ``.inter`` file with the training's names and time unit."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_longinterest.common.files import atomic_file
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.serving.event_files import read_events
from recbole_longinterest.serving.event_times import EventTimes
from recbole_longinterest.serving.training_times import TrainingTimes
from recbole_longinterest.training.update.lines import MergeError, header_of
from recbole_longinterest.training.update.new_events import columns_read
from recbole_longinterest.training.update.new_events import read_events as read_old_events

FIELDS = {
    "user": "USER_ID_FIELD",
    "item": "ITEM_ID_FIELD",
    "rating": "RATING_FIELD",
    "behavior": "BEHAVIOR_FIELD",
    "time": "TIME_FIELD",
}


def needs_table(source: Path, settings: Mapping[str, object]) -> bool:
    """Whether a file of events must be converted: it is not an ``.inter`` file, or has other column names or dates."""
    return source.suffix.lower() != ".inter" or any(settings.get(name) for name in ("columns", "time_format"))


def write_inter(
    config: Settings, source: Path, out: Path, columns: Mapping[str, str] | None = None, time_format: str | None = None
) -> None:
    """Write a file of events as an ``.inter`` file.

    Args:
        config: config of the training.
        source: CSV, TSV, Parquet, JSON lines or ``.inter`` file.
        out: the ``.inter`` file to write.
        columns: the file's column names of ``user``, ``item``, ``rating``, ``behavior`` and ``time``.
        time_format: format of dates that are not ISO 8601.

    Raises:
        LongInterestError: for a file that cannot be read, lacks users, items or times, has times in another unit, or
            has a value that an atomic file cannot hold.
    """
    name, separator, encoding = config["dataset"], config["field_separator"], config["encoding"] or "utf-8"
    old = Path(config["data_path"]) / f"{name}.inter"
    header = header_of(old, separator, encoding)
    fields = {kind: config[key] for kind, key in FIELDS.items()}
    read = columns_read(config, header)
    features = [column for column in read if column not in fields.values()]
    before = read_old_events(old, header, [fields["time"]], separator, encoding)[fields["time"]]
    times = EventTimes(TrainingTimes.of(before.to_numpy()))
    table = read_events(source, fields, separator, encoding, features, columns, times, time_format)
    needed = [fields[kind] for kind in ("user", "item", "time")]
    absent = [column for column in needed if column not in table]
    if absent:
        raise MergeError(
            f"{source} has no column {', '.join(absent)}, which an update needs. Give the file's column names: --user, "
            "--item, --time."
        )
    given = {column: kind for column, kind in header.items() if column in table}
    texts = [_texts(table[column], separator, config["seq_separator"], source) for column in given]
    with atomic_file(out) as draft, draft.open("w", encoding=encoding, newline="") as file:
        file.write(separator.join(f"{column}:{kind}" for column, kind in given.items()) + "\n")
        file.writelines(separator.join(cells) + "\n" for cells in zip(*texts, strict=True))


def _texts(column: pd.Series, separator: str, seq_separator: str, source: Path) -> list[str]:
    """Convert the values of a column to the text of an atomic file."""
    if column.dtype.kind == "f":
        return ["" if np.isnan(value) else _number(value) for value in column.tolist()]
    texts = ["" if _is_missing(value) else _text(value, seq_separator) for value in column.tolist()]
    for row, text in enumerate(texts):
        if separator in text or "\n" in text or "\r" in text or text.startswith('"'):
            raise MergeError(
                f"{source}, row {row + 1}: {column.name} has a line end, a quote at its start or {separator!r}, which "
                f"separates the training's columns; got {text!r:.80}. Leave that event out."
            )
    return texts


def _is_missing(value: object) -> bool:
    return value is None or value != value


def _text(value: object, seq_separator: str) -> str:
    return seq_separator.join(map(str, value)) if isinstance(value, list) else str(value)


def _number(value: float) -> str:
    """Format a number so that it reads back exactly: 880000000, 3.5."""
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)
