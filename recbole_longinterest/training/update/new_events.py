"""Read the new events of an update and drop duplicates."""

from collections.abc import Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.behaviors import read_behavior_map, renamed
from recbole_longinterest.data.event_keys import Keys, event_keys, token_keys
from recbole_longinterest.data.log_reader import read_columns
from recbole_longinterest.serving.training_times import TrainingTimes
from recbole_longinterest.training.update.lines import MergeError, header_of

Mask = NDArray[np.bool_]


@dataclass
class NewEvents:
    """Old and new events, and which of the new events are taken.

    Attributes:
        header: types of the old file's columns by name.
        given: types of the new file's columns by name.
        before: users, items and times of the old events, in file order.
        after: users, items and times of the new events, in file order, [n].
        taken: mask of the new events that are taken, [n].
        repeated: mask of the new events that are duplicates of old events or of earlier lines, [n].
    """

    header: dict[str, str]
    given: dict[str, str]
    before: pd.DataFrame
    after: pd.DataFrame
    taken: Mask
    repeated: Mask


def read_new_events(config: Settings, old: Path, new: Path) -> NewEvents:
    """Read old and new events, and mark duplicates.

    Args:
        config: config of the training.
        old: ``.inter`` file of the training.
        new: ``.inter`` file with the columns that the training read.

    Raises:
        MergeError: for a file that is missing or broken, or lacks a column, a value or any new event.
        LongInterestError: for times in another unit than the training's.
    """
    separator, encoding = config["field_separator"], config["encoding"] or "utf-8"
    if len(separator) != 1:
        raise MergeError(f"An update needs a field_separator of one character; got {separator!r}.")
    header = header_of(old, separator, encoding)
    given = header_of(new, separator, encoding)
    read = columns_read(config, header)
    _check_columns(new, header, given, [name for name in header if name in read], config["RATING_FIELD"])
    columns = [config[key] for key in ("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD")]
    behavior, names = config["BEHAVIOR_FIELD"], read_behavior_map(config)
    if behavior in read and header.get(behavior) == "token":
        columns.append(behavior)
    before = read_events(old, header, columns, separator, encoding)
    after = read_events(new, given, columns, separator, encoding)
    for events in (before, after) if behavior in columns else ():
        events[behavior] = renamed(events[behavior], names)
    if after[columns[:3]].isna().any().any():
        raise MergeError(f"{new} has events without {', '.join(columns[:2])} or {columns[2]}. Fill or remove them.")
    times = TrainingTimes.of(before[columns[2]].to_numpy())
    if times is not None:
        times.check(after[columns[2]].to_numpy(dtype=np.float64), str(new))
    keys = keys_of(after, *columns)
    first = np.zeros(len(keys), dtype=bool)
    first[np.unique(keys, return_index=True)[1]] = True
    taken = first & ~np.isin(keys, keys_of(before, *columns))
    if not taken.any():
        raise MergeError(
            f"{new} holds no new event: all {len(keys):,} are in {old} already and would count twice. "
            "There is nothing to update."
            if len(keys)
            else f"{new} has no events, only a header. To add only items, use an exported model: "
            "recbole-li add-items DIR items.csv"
        )
    return NewEvents(header, given, before, after, taken, ~taken)


def read_events(
    path: Path, header: dict[str, str], names: Sequence[str], separator: str, encoding: str
) -> pd.DataFrame:
    """Read some columns of an ``.inter`` file.

    Raises:
        MergeError: for a missing column, or a value that cannot be read.
    """
    absent = [name for name in names if name not in header]
    if absent:
        raise MergeError(f"{path} has no column {', '.join(absent)}; its columns are {', '.join(header)}.")
    columns = [(name, kind) for name, kind in header.items() if name in names]
    try:
        return read_columns(str(path), columns, separator, encoding)
    except ValueError as error:
        raise MergeError(str(error)) from error


def keys_of(events: pd.DataFrame, user: str, item: str, time: str, behavior: str | None = None) -> Keys:
    """Return the keys of the given events, see :func:`~recbole_longinterest.training.update.replay.event_keys`, [n]."""

    def keys(name: str) -> Keys:  # hashes each token once, not each row
        codes, tokens = pd.factorize(events[name].astype(object).fillna(""))
        return token_keys(tokens)[codes] if len(tokens) else np.zeros(0, dtype=np.uint64)

    times = events[time].to_numpy(dtype=np.float64)
    return event_keys(keys(user), keys(item), times, None if behavior is None else keys(behavior))


def columns_read(config: Settings, header: dict[str, str]) -> list[str]:
    """Event columns that the training read, selected as in RecBole."""
    wanted, unwanted = ((config[key] or {}).get("inter") for key in ("load_col", "unload_col"))
    chosen = list(header) if wanted in (None, "*") else list(wanted)
    return [name for name in chosen if name not in (unwanted or ())]


def _check_columns(
    new: Path, header: dict[str, str], given: dict[str, str], read: Sequence[str], optional: str
) -> None:
    missing = [name for name in read if name not in given and name != optional]
    other = [f"{name}:{given[name]}" for name in header if given.get(name, header[name]) != header[name]]
    unread = [name for name in given if name not in header]
    if unread:
        empty = (
            f", and has no {optional}, so the new events have no ratings"
            if optional in read and optional not in given
            else ""
        )
        getLogger().warning(
            f"{new} has columns that the training did not have; they are ignored: {', '.join(unread)}{empty}."
        )
    if missing or other:
        wanted = " ".join(f"{name}:{header[name]}" for name in read)
        wrong = f"has no column {', '.join(missing)}" if missing else f"has {', '.join(other)}"
        raise MergeError(f"{new} {wrong}; the training read {wanted}. Use the same columns.")
