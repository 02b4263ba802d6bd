"""Merge old and new events, items and users into a data set folder; old lines keep their bytes."""

import glob
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from recbole_longinterest.common.files import atomic_file, atomic_folder, file_hash
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.training.update.caps import Caps, apply_caps
from recbole_longinterest.training.update.lines import MergeError, copy_whole, in_columns, rows_of
from recbole_longinterest.training.update.new_events import NewEvents, read_new_events
from recbole_longinterest.training.update.tables import merge_rows


@dataclass(frozen=True)
class NewFiles:
    """Input files of an update.

    Attributes:
        inter: new events.
        item: new and changed items, or None.
        user: new and changed users, or None.
    """

    inter: Path
    item: Path | None = None
    user: Path | None = None

    def named(self) -> dict[str, Path]:
        """Return the given files by extension."""
        return {name: file for name, file in vars(self).items() if file is not None}


@dataclass
class Merged:
    """Counts of a merge.

    Attributes:
        events: new events that were taken.
        repeated: duplicates of old events or of earlier lines; they are skipped.
        earlier: new events earlier than the last old event of their user.
        users: new users.
        items: new items of the new events.
        without_text: new items without a row in the item files.
        new_rows: rows of the new item file whose item had no row before.
        changed_rows: rows of the new item file that replace a different row.
        new_users: rows of the new user file whose user had no row before.
        quarantined: number of new events removed by each cap, by name of the cap.
        sha256: hash of the folder's event, item and user file, by extension.
    """

    events: int = 0
    repeated: int = 0
    earlier: int = 0
    users: int = 0
    items: int = 0
    without_text: int = 0
    new_rows: int = 0
    changed_rows: int = 0
    new_users: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as plain data."""
        return asdict(self)


def merge(
    config: Settings, new: NewFiles, folder: Path, caps: Caps | None = None, quarantine: Path | None = None
) -> Merged:
    """Write a data set folder with the old and the new events, items and users.

    Old events come first, so that events of the same time keep their order. Other files of the old folder are copied.

    Args:
        config: config of the training, with column names, separators and encoding.
        new: the new files.
        folder: folder to write, atomically.
        caps: limits on the new events; None for no limits.
        quarantine: file for the lines removed by the caps; required with ``caps``.

    Returns:
        What was merged.

    Raises:
        MergeError: for a file that is missing, has another format, lacks a column, or has no new event.
    """
    name, old = str(config["dataset"]), Path(config["data_path"])
    try:
        with atomic_folder(folder) as draft:
            events = read_new_events(config, old / f"{name}.inter", new.inter)
            out = {} if caps is None else _apply_caps(config, caps, events, new.inter, quarantine)
            done, new_items = _count(config, events)
            done.quarantined = out
            _write_events(config, old / f"{name}.inter", new.inter, events, draft / f"{name}.inter")
            items = merge_rows(config, old / f"{name}.item", new.item, draft / f"{name}.item", config["ITEM_ID_FIELD"])
            done.new_rows, done.changed_rows = items.new, items.changed
            done.without_text = len(new_items - items.known)
            if new.user is not None:
                user, column = f"{name}.user", config["USER_ID_FIELD"]
                done.new_users = merge_rows(config, old / user, new.user, draft / user, column).new
            for other in sorted(old.glob(f"{glob.escape(name)}.*")):
                if other.is_file() and not (draft / other.name).exists():
                    shutil.copyfile(other, draft / other.name)
            done.sha256 = hashes(draft, name, ("inter", "item") if new.user is None else ("inter", "item", "user"))
    except OSError as error:
        raise MergeError(f"{folder} could not be written: {error}. Give another --output, or make room.") from error
    return done


def hashes(folder: Path, name: str, ends: tuple[str, ...] = ("inter", "item")) -> dict[str, str]:
    """SHA-256 of a data set's files by extension, without missing files."""
    files = {end: folder / f"{name}.{end}" for end in ends}
    return {end: file_hash(file) for end, file in files.items() if file.is_file()}


def _count(config: Settings, events: NewEvents) -> tuple[Merged, set[str]]:
    """Count the events, and collect the new items."""
    user, item, time = (config[key] for key in ("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD"))
    before, rows = events.before, events.after[events.taken]
    last = before.groupby(user, observed=True)[time].max()
    earlier = rows[time].to_numpy() < rows[user].astype(str).map(last).to_numpy(dtype=float)
    new_items = set(rows[item].astype(str)) - set(before[item].astype(str))
    done = Merged(events=len(rows), repeated=int(events.repeated.sum()), earlier=int(earlier.sum()))
    done.users = len(set(rows[user].astype(str)) - set(before[user].astype(str)))
    done.items = len(new_items)
    return done, new_items


def _apply_caps(config: Settings, caps: Caps, events: NewEvents, new: Path, quarantine: Path | None) -> dict[str, int]:
    """Move events beyond the caps to the quarantine file; return their number by cap."""
    separator, encoding = config["field_separator"], config["encoding"] or "utf-8"
    columns = (config[key] for key in ("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD"))
    out = apply_caps(events, caps, *columns)
    if any(mask.any() for mask in out.values()) and quarantine is not None:
        beyond = np.any(list(out.values()), axis=0)
        with atomic_file(quarantine) as draft, draft.open("w", encoding=encoding, newline="") as file:
            file.write(separator.join(f"{name}:{kind}" for name, kind in events.given.items()) + "\n")
            for cells, chosen in zip(rows_of(new, separator, encoding), beyond, strict=True):
                if chosen:
                    file.write(separator.join(cells) + "\n")
    if not events.taken.any():
        raise MergeError(
            f"The caps leave no new event of {new}: {', '.join(f'{name} {n}' for name, n in caps.chosen().items())}. "
            f"All are in {quarantine}."
        )
    return {name: int(mask.sum()) for name, mask in out.items()}


def _write_events(config: Settings, old: Path, new: Path, events: NewEvents, out: Path) -> None:
    separator, encoding = config["field_separator"], config["encoding"] or "utf-8"
    if sum(1 for _ in rows_of(new, separator, encoding)) != len(events.taken):
        raise MergeError(f"The lines of {new} end in carriage returns without line feeds. Save it with line feeds.")
    with out.open("wb") as file:
        more = copy_whole(old, file, encoding)
        rows = zip(rows_of(new, separator, encoding), events.taken, strict=True)
        chosen = (cells for cells, taken in rows if taken)
        for cells in in_columns(events.header, events.given, chosen):
            file.write(f"{separator.join(cells)}\n".encode(more))
