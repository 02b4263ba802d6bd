"""Places that this user has named before, on this machine: what a file may name again without being asked.

A checkpoint or an export says which folder of data and which encoder it was made with. That is a word of a file, so it
counts only if the same place was named by the user: in this call, or in a run whose places are kept here, a small file
each below the cache folder. Hosts and places to write to are never taken from a file.
"""

import os
from hashlib import sha256
from pathlib import Path

from recbole_longinterest.common.files import write_text
from recbole_longinterest.common.leftovers import sweep_folder


def default_cache_dir() -> Path:
    """``$RECBOLE_LI_CACHE`` if set, else ``recbole_longinterest`` in the user's cache folder."""
    own = os.environ.get("RECBOLE_LI_CACHE")
    if own:
        return Path(own).expanduser()
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification has relative paths ignored. expanduser keeps the ~ where there is no home.
    root = base if base.is_absolute() else Path(os.path.expanduser("~")) / ".cache"  # noqa: PTH111
    return root / "recbole_longinterest"


def remember(kind: str, place: object) -> None:
    """Keep that the user has named a place; where the cache cannot be written it has to be named again.

    Args:
        kind: the setting, as ``data_path``.
        place: its value.
    """
    file = _file(kind, place)
    try:
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            sweep_folder(file.parent)  # drafts of names that never come again
            write_text(file, f"{kind}: {place}\n")
    except (OSError, ValueError):
        return


def is_known(kind: str, place: object) -> bool:
    """Whether the user has named this place for this setting before, or works in a folder that it is inside of."""
    path = Path(str(place)).expanduser()
    if not path.is_absolute() and _exists(path) and path.resolve().is_relative_to(Path.cwd().resolve()):
        return True
    return _file(kind, place).is_file()


def _file(kind: str, place: object) -> Path:
    text = str(place)
    path = Path(text).expanduser()
    if _exists(path):  # else it is no path, as a name on the hub
        text = str(path.resolve())
    return default_cache_dir() / "places" / sha256(f"{kind}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # too long to be one
        return False
