"""Write the folder of a prepared data set atomically, with a link to the settings inside it.

``<dir>/dataset_configs/<name>.yaml`` is a link to ``<dir>/<name>/prepare.yaml``, so that data and settings change at
the same moment. The link is created before the folder is in place; until then it is dangling or leads to the old
settings.
"""

import contextlib
import errno
import filecmp
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.files import atomic_folder, write_bytes
from recbole_longinterest.common.leftovers import LEFTOVER, beside, sweep
from recbole_longinterest.common.parquet_events import PARQUET_EVENTS
from recbole_longinterest.common.resources import DATASET_CONFIGS, PREPARED_SETTINGS

REPORT = "prepare.json"
EVENT_FILES = {"inter": ".inter", "parquet": PARQUET_EVENTS}
"""Format of the events -> suffix of their file."""
PLOTS = "plots"
NO_LINKS = {
    errno.EPERM,
    errno.ENOSYS,
    errno.EINVAL,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
}  # FAT, or Windows without the privilege


def settings_link(folder: Path, name: str) -> Path:
    """Path at which users and RecBole's config look for the settings; ``folder`` is the parent of the data set's."""
    return folder / DATASET_CONFIGS / f"{name}.yaml"


def held_place(folder: Path, name: str) -> contextlib.AbstractContextManager[bool]:
    """Lock a data set against other `prepare` processes; ``folder`` is the parent of the data set's folder."""
    return lock_files(folder / name, "preparing", "give another --name", again=True)


@contextlib.contextmanager
def new_place(folder: Path, name: str, files: Collection[str], same: bool = False) -> Iterator[Path]:
    """Write a data set through a draft folder that replaces it, together with its settings, at the end.

    Other files in the data set's folder, such as a ``.user`` file, are kept; files of an earlier data set are removed.

    Args:
        folder: parent of the data set's folder.
        name: name of the data set.
        files: files to write, relative to the draft, including :data:`PREPARED_SETTINGS`.
        same: an existing data set must have the same content.

    Yields:
        The draft folder.

    Raises:
        LongInterestError: with ``same``, if the existing data set differs.
        OSError: if something is in the way, before anything is written; or if the files cannot be written.
    """
    place, link = folder / name, settings_link(folder, name)
    with held_place(folder, name):
        _check_way(place, link, files)
        try:
            with atomic_folder(place) as draft:
                yield draft
                if same and not all(_are_same(place / file, draft / file) for file in files):
                    check_free(folder, name)
                if place.is_dir():
                    _keep_others(place, draft, {*(place / file for file in files), *_earlier(place, name)})
                if (draft / PLOTS).is_dir() and not any((draft / PLOTS).iterdir()):
                    (draft / PLOTS).rmdir()
                _set_link(place, link)
        finally:
            if link.is_symlink() and not link.exists():  # the data set could not be written
                link.unlink()
            with contextlib.suppress(OSError):  # not empty
                link.parent.rmdir()


def check_free(folder: Path, name: str) -> None:
    """Check that a data set can be written without replacing files.

    Args:
        folder: parent of the data set's folder.
        name: name of the data set.

    Raises:
        ValueError: if one of its files exists.
    """
    files = [folder / name / f"{name}{suffix}" for suffix in (*EVENT_FILES.values(), ".item")]
    for file in (*files, settings_link(folder, name)):
        if file.exists():
            raise LongInterestError(f"{file} already exists. Give another --name, or --overwrite.")


def _are_same(one: Path, other: Path) -> bool:
    return one.is_file() and filecmp.cmp(one, other, shallow=False)


def _check_way(place: Path, link: Path, files: Collection[str]) -> None:
    for folder in (place, link.parent, *(place / Path(file).parent for file in files)):
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"{folder} is not a folder")
    for file in (link, *(place / file for file in files)):
        if file.is_dir():
            raise IsADirectoryError(f"{file} is a folder")


def _earlier(place: Path, name: str) -> list[Path]:
    """List the files of an earlier data set of this name, which do not belong to the new events."""
    files = (*(f"{name}{suffix}" for suffix in (*EVENT_FILES.values(), ".item")), REPORT, PREPARED_SETTINGS)
    return [*(place / file for file in files), *(place / PLOTS).glob("*.png")]


def _keep_others(old: Path, new: Path, but: Collection[Path]) -> None:
    """Copy the other files of the old folder: all except an earlier data set's files."""
    for entry in old.iterdir():
        target = new / entry.name
        if entry in but or LEFTOVER.fullmatch(entry.name):
            continue
        if entry.is_symlink():
            target.symlink_to(entry.readlink())
        elif entry.is_dir():
            target.mkdir(exist_ok=True)
            shutil.copymode(entry, target)
            _keep_others(entry, target, but)
        else:
            try:
                os.link(entry, target)
            except OSError:  # a file system without hard links
                shutil.copy2(entry, target)


def _set_link(place: Path, link: Path) -> None:
    """Link the usual path of the settings to the data set's folder, which has the old ones until it is replaced."""
    link.parent.mkdir(exist_ok=True)
    sweep(link)
    target = os.path.relpath(place.resolve() / PREPARED_SETTINGS, link.parent.resolve())
    if link.is_symlink() and str(link.readlink()) == target:
        return
    if link.is_file():  # from an earlier version, or written by hand
        place.mkdir(exist_ok=True)
        write_bytes(place / PREPARED_SETTINGS, link.read_bytes())
    draft = beside(link, "tmp")
    try:
        draft.symlink_to(target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        link.unlink(missing_ok=True)  # without a link, the settings are read from the data set's folder
    else:
        try:
            draft.replace(link)
        except OSError:  # a full disk
            draft.unlink()
            raise
