"""Remove the lines of the given users from atomic files; all other lines keep their bytes."""

import glob
from collections.abc import Collection
from pathlib import Path

from recbole_longinterest.common.atomic_files import read_header
from recbole_longinterest.common.parquet_events import refuse_parquet
from recbole_longinterest.common.settings import Settings

USER_FIELDS = ("USER_ID_FIELD", "SOURCE_ID_FIELD", "TARGET_ID_FIELD")  # the last two occur in .net files
NOT_TABLES = (".json", ".yaml", ".yml", ".png", ".md", ".npy")


def user_files(folder: Path, name: str, config: Settings) -> dict[Path, list[int]]:
    """Find the files of a data set that have user columns, with the indices of those columns.

    Args:
        folder: folder of the data set.
        name: name of the data set.
        config: config of a training on it.
    """
    refuse_parquet(folder, name, "Forgetting users")
    files = {}
    for file in sorted(folder.glob(f"{glob.escape(name)}.*")):
        places = user_columns(file, config) if file.is_file() and file.suffix not in NOT_TABLES else []
        if places:
            files[file] = places
    return files


def user_columns(file: Path, config: Settings) -> list[int]:
    """Indices of the user columns of an atomic file; empty if it has none or is another kind of file."""
    try:
        header = read_header(str(file), config["field_separator"], config["encoding"])
    except ValueError:
        return []
    fields = {config[key] for key in USER_FIELDS} - {None}
    return [place for place, (name, _) in enumerate(header) if name in fields]


def copy_without(file: Path, copy: Path, places: list[int], users: Collection[str], config: Settings) -> int:
    """Copy an atomic file without the lines of the given users.

    Args:
        file: the file.
        copy: path of the copy.
        places: indices of the user columns.
        users: tokens of the users.
        config: config of a training on the file.

    Returns:
        Number of removed lines.
    """
    separator, encoding, removed = config["field_separator"], config["encoding"] or "utf-8", 0
    with (
        file.open(encoding=encoding, newline="\n") as source,
        copy.open("w", encoding=encoding, newline="") as target,
    ):
        target.write(next(source, ""))
        for line in source:
            cells = line.rstrip("\r\n").split(separator)
            if any(place < len(cells) and _unquoted(cells[place]) in users for place in places):
                removed += 1
            else:
                target.write(line)
    return removed


def _unquoted(cell: str) -> str:
    """Return a token without quotes, as RecBole's reader gives it."""
    return cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell
