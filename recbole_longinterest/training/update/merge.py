"""Atomic files of old and of new events and items to one data set folder, line by line, old lines as they are."""

import glob
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from logging import getLogger
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from recbole_longinterest.common.atomic_files import read_header, without_mark
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import atomic_folder, file_hash
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.behaviors import read_behavior_map, renamed
from recbole_longinterest.data.log_reader import read_columns
from recbole_longinterest.training.update.replay import Keys, event_keys, token_keys


class MergeError(LongInterestError):
    """New files that do not go with the old ones."""


@dataclass
class Merged:
    """What was merged.

    Attributes:
        events: new events that were taken.
        repeated: new events that the old file, or a line before, has already: each counts once.
        earlier: new events that are earlier than the last old one of their user.
        users: users that are new.
        items: items of the new events that are new.
        without_text: those that have no row in either item file.
        new_rows: items whose row in the item file is new.
        changed_rows: items whose row in the item file was replaced by another.
        sha256: of the folder's files, by ending.
    """

    events: int = 0
    repeated: int = 0
    earlier: int = 0
    users: int = 0
    items: int = 0
    without_text: int = 0
    new_rows: int = 0
    changed_rows: int = 0
    sha256: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self)


def merge(config: Settings, inter: Path, item: Path | None, folder: Path) -> Merged:
    """Write a data set folder with the old events and items and the new ones.

    Old lines stay as they are and come first, so that equal times keep their order; a new row of a known item stands in
    the place of its old one. Other files of the old folder are copied.

    Args:
        config: of the training with the old data, for names of columns, separators and encoding.
        inter: new events: an ``.inter`` file with the columns that the training read.
        item: new and changed items: an ``.item`` file with the old one's columns; None for none.
        folder: to be made; is there whole, or not at all.

    Returns:
        What was merged.

    Raises:
        MergeError: one sentence for a file that is absent, of another form, without a column, or without a new event.
    """
    name, old = str(config["dataset"]), Path(config["data_path"])
    try:
        with atomic_folder(folder) as draft:
            done, rest = Merged(), {f"{name}.inter", f"{name}.item"}
            new_items = _merge_events(config, old / f"{name}.inter", inter, draft / f"{name}.inter", done)
            known = _merge_items(config, old / f"{name}.item", item, draft / f"{name}.item", done)
            done.without_text = len(new_items - known)
            for other in sorted(old.glob(f"{glob.escape(name)}.*")):
                if other.is_file() and other.name not in rest:
                    shutil.copyfile(other, draft / other.name)
            done.sha256 = hashes(draft, name)
    except OSError as error:
        raise MergeError(f"{folder} could not be written: {error}. Give another --output, or make room.") from error
    return done


def hashes(folder: Path, name: str) -> dict[str, str]:
    """SHA-256 of a data set's event and item file, by ending, of those that are there."""
    files = {end: folder / f"{name}.{end}" for end in ("inter", "item")}
    return {end: file_hash(file) for end, file in files.items() if file.is_file()}


# --- events ----------------------------------------------------------------------------------------------------------


def _merge_events(config: Settings, old: Path, new: Path, out: Path, done: Merged) -> set[str]:
    """Write the events; returns tokens of the new items."""
    separator, encoding = config["field_separator"], config["encoding"] or "utf-8"
    if len(separator) != 1:
        raise MergeError(f"An update needs a field_separator of one character; got {separator!r}.")
    header = _header(old, separator, encoding)
    given = _header(new, separator, encoding)
    user, item, time = (config[key] for key in ("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD"))
    read = _columns_read(config, header)
    _check_columns(new, header, given, [name for name in header if name in read], config["RATING_FIELD"])
    columns = [user, item, time]
    behavior, names = config["BEHAVIOR_FIELD"], read_behavior_map(config)
    if behavior in read and header.get(behavior) == "token":
        columns.append(behavior)
    before = _events(old, header, columns, separator, encoding)
    after = _events(new, given, columns, separator, encoding)
    for events in (before, after) if behavior in columns else ():
        events[behavior] = renamed(events[behavior], names)
    if after[columns[:3]].isna().any().any():
        raise MergeError(f"{new} has events without {user}, {item} or {time}. Fill or remove them.")
    keys = _keys(after, *columns)
    taken = ~np.isin(keys, _keys(before, *columns))
    first = np.zeros(len(keys), dtype=bool)
    first[np.unique(keys, return_index=True)[1]] = True
    taken &= first
    done.events, done.repeated = int(taken.sum()), int((~taken).sum())
    if not done.events:
        raise MergeError(
            f"{new} holds no new event: all {len(keys):,} are in {old} already and would count twice. "
            "There is nothing to update."
            if len(keys)
            else f"{new} holds no event, only a header. Items alone are added to an exported model: "
            "recbole-li add-items DIR items.csv"
        )
    rows = after[taken]
    last = before.groupby(user, observed=True)[time].max()
    done.earlier = int((rows[time].to_numpy() < rows[user].astype(str).map(last).to_numpy(dtype=float)).sum())
    done.users = len(set(rows[user].astype(str)) - set(before[user].astype(str)))
    new_items = set(rows[item].astype(str)) - set(before[item].astype(str))
    done.items = len(new_items)
    if sum(1 for _ in _rows(new, separator, encoding)) != len(taken):
        raise MergeError(f"The lines of {new} end in carriage returns alone. Save it with line feeds.")
    with out.open("wb") as file:
        further = _copy_whole(old, file, encoding)
        chosen = (cells for cells, wanted in zip(_rows(new, separator, encoding), taken, strict=True) if wanted)
        for cells in _in_columns(new, header, given, chosen):
            file.write(f"{separator.join(cells)}\n".encode(further))
    return new_items


def _columns_read(config: Settings, header: dict[str, str]) -> list[str]:
    """Columns of the events that the training read, as RecBole chooses them."""
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
            f", and has no {optional}: the new events have none" if optional in read and optional not in given else ""
        )
        getLogger().warning(
            f"{new} has columns that the training had not, which are not read: {', '.join(unread)}{empty}."
        )
    if missing or other:
        wanted = " ".join(f"{name}:{header[name]}" for name in read)
        wrong = f"has no column {', '.join(missing)}" if missing else f"has {', '.join(other)}"
        raise MergeError(f"{new} {wrong}; the training read {wanted}. Write its columns so.")


def _events(path: Path, header: dict[str, str], names: Sequence[str], separator: str, encoding: str) -> pd.DataFrame:
    absent = [name for name in names if name not in header]
    if absent:
        raise MergeError(f"{path} has no column {', '.join(absent)}; its columns are {', '.join(header)}.")
    columns = [(name, kind) for name, kind in header.items() if name in names]
    try:
        return read_columns(str(path), columns, separator, encoding)
    except ValueError as error:
        raise MergeError(str(error)) from error


def _keys(events: pd.DataFrame, user: str, item: str, time: str, behavior: str | None = None) -> Keys:
    def of(name: str) -> Keys:  # a token once, whatever the number of events
        codes, tokens = pd.factorize(events[name].astype(object).fillna(""))
        return token_keys(tokens)[codes] if len(tokens) else np.zeros(0, dtype=np.uint64)

    times = events[time].to_numpy(dtype=np.float64)
    return event_keys(of(user), of(item), times, None if behavior is None else of(behavior))


# --- items -----------------------------------------------------------------------------------------------------------


def _merge_items(config: Settings, old: Path, new: Path | None, out: Path, done: Merged) -> set[str]:
    """Write the items, if there are any; returns the tokens that have a row."""
    separator, encoding, name = config["field_separator"], config["encoding"] or "utf-8", config["ITEM_ID_FIELD"]
    if not old.is_file():
        if new is not None:
            raise MergeError(f"The training had no item file {old}, so its model reads no texts. Leave --item out.")
        return set()
    header = _header(old, separator, encoding)
    known = {cells[list(header).index(name)] for cells in _rows(old, separator, encoding)} if name in header else set()
    if new is None:
        shutil.copyfile(old, out)
        return known
    given = _header(new, separator, encoding)
    absent = [column for column in header if column not in given]
    if absent:
        raise MergeError(
            f"{new} has no column {', '.join(absent)}; {old.name} has {', '.join(header)}. Write all of them."
        )
    at = list(header).index(name)
    rows: dict[str, list[str]] = {}
    for cells in _in_columns(new, header, given, _rows(new, separator, encoding)):
        rows.setdefault(cells[at], cells)
    with out.open("wb") as file:
        head = separator.join(f"{column}:{kind}" for column, kind in header.items()) + "\n"
        file.write(head.encode(encoding))
        further = _further(encoding, head.encode(encoding))
        seen: set[str] = set()
        for cells in _rows(old, separator, encoding):
            token = cells[at]
            if token in rows and token not in seen and rows[token] != cells:
                cells = rows[token]
                done.changed_rows += 1
            seen.add(token)
            file.write(f"{separator.join(cells)}\n".encode(further))
        for token, cells in rows.items():
            if token not in seen:
                done.new_rows += 1
                file.write(f"{separator.join(cells)}\n".encode(further))
    return known | rows.keys()


# --- lines -----------------------------------------------------------------------------------------------------------


def _header(path: Path, separator: str, encoding: str) -> dict[str, str]:
    if not path.is_file():
        raise MergeError(f"There is no file {path}.")
    try:
        return dict(read_header(str(path), separator, encoding))
    except ValueError as error:
        raise MergeError(str(error)) from error


def _rows(path: Path, separator: str, encoding: str) -> Iterator[list[str]]:
    """Cells of every line after the header that is not blank."""
    with path.open(encoding=without_mark(encoding), newline="\n") as file:
        columns = len(next(file, "").rstrip("\r\n").split(separator))
        for number, line in enumerate(file, start=2):
            if not line.strip():
                continue
            cells = line.rstrip("\r\n").split(separator)
            if len(cells) != columns:
                raise MergeError(
                    f"{path}, line {number}: {len(cells)} columns where the header has {columns}. Mend the line."
                )
            yield cells


def _in_columns(
    path: Path, header: dict[str, str], given: dict[str, str], rows: Iterator[list[str]]
) -> Iterator[list[str]]:
    """Cells in the order of the old header; a column that the new file has not got is left empty."""
    place = {name: number for number, name in enumerate(given)}
    for cells in rows:
        yield [cells[place[name]] if name in place else "" for name in header]


def _copy_whole(old: Path, file: BinaryIO, encoding: str) -> str:
    """The old file, ending in a line's end; returns the encoding of what follows."""
    with old.open("rb") as source:
        further = _further(encoding, source.read(4))
        source.seek(0)
        shutil.copyfileobj(source, file)
        end = "\n".encode(further)
        size = source.tell()
        source.seek(max(0, size - len(end)))
        if size and source.read() != end:
            file.write(end)
    return further


def _further(encoding: str, begin: bytes) -> str:
    """The encoding of text behind other text: one that begins with a mark would write it once more.

    Args:
        encoding: of the file.
        begin: its first bytes, which say the order of UTF-16's.
    """
    kind = encoding.lower().replace("_", "-").replace("utf-", "utf")
    if kind == "utf8-sig":
        return "utf-8"
    if kind in ("utf16", "utf32"):
        order = "be" if begin[:1] in (b"\xfe", b"\x00") else "le"
        return f"utf-{kind[3:]}-{order}"
    return encoding
