"""Merge the rows of ``.item`` and ``.user`` files: a new row of a known item or user replaces its old row."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from recbole_longinterest.common.settings import Settings
from recbole_longinterest.training.update.lines import MergeError, encoding_for_more, header_of, in_columns, rows_of


@dataclass
class MergedRows:
    """Counts of merging an item or user table.

    Attributes:
        known: tokens that have a row after the merge.
        new: rows of tokens that had no row before.
        changed: rows that were replaced by a different one.
    """

    known: set[str] = field(default_factory=set)
    new: int = 0
    changed: int = 0


def merge_rows(config: Settings, old: Path, new: Path | None, out: Path, key: str) -> MergedRows:
    """Write a table with the old and the new rows; without an old table, nothing is written.

    Args:
        config: config of the training.
        old: file of the training; it may be missing.
        new: file with the same columns, or None.
        out: path of the merged file.
        key: name of the id column.

    Raises:
        MergeError: for a new file without an old one, or a new file that lacks a column.
    """
    separator, encoding = config["field_separator"], config["encoding"] or "utf-8"
    if not old.is_file():
        if new is not None:
            raise MergeError(f"The training had no file {old}. {_ONLY_WITH_OLD[old.suffix]}")
        return MergedRows()
    header = header_of(old, separator, encoding)
    place = list(header).index(key) if key in header else None
    if place is None and new is not None:
        raise MergeError(f"{old} has no column {key}, so new rows cannot be added to it. Leave --{old.suffix[1:]} out.")
    done = MergedRows({cells[place] for cells in rows_of(old, separator, encoding)} if place is not None else set())
    if new is None or place is None:
        shutil.copyfile(old, out)
        return done
    given = header_of(new, separator, encoding)
    absent = [column for column in header if column not in given]
    if absent:
        raise MergeError(
            f"{new} has no column {', '.join(absent)}; {old.name} has {', '.join(header)}. Write all of them."
        )
    rows: dict[str, list[str]] = {}
    for cells in in_columns(header, given, rows_of(new, separator, encoding)):
        rows.setdefault(cells[place], cells)
    with out.open("wb") as file:
        head = (separator.join(f"{column}:{kind}" for column, kind in header.items()) + "\n").encode(encoding)
        file.write(head)
        more = encoding_for_more(encoding, head)
        seen: set[str] = set()
        for cells in rows_of(old, separator, encoding):
            token = cells[place]
            if token in rows and token not in seen and rows[token] != cells:
                cells = rows[token]
                done.changed += 1
            seen.add(token)
            file.write(f"{separator.join(cells)}\n".encode(more))
        for token, cells in rows.items():
            if token not in seen:
                done.new += 1
                file.write(f"{separator.join(cells)}\n".encode(more))
    done.known |= rows.keys()
    return done


_ONLY_WITH_OLD = {
    ".item": "Its model reads no texts: leave --item out.",
    ".user": "Its model reads no columns of users: leave --user out.",
}
