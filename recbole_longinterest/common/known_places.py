"""Remember which paths this user has named on this machine, so that a file may refer to them.

A checkpoint or an export stores the data folder and the encoder that it was made with. Files are not trusted: such a
path is used only if the user has named it, in this call or in an earlier run. Each path of an earlier run is kept as a
small file in the cache folder. Hosts and output paths are never taken from a file.
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
    # The XDG specification says to ignore relative paths. Without a home folder, expanduser keeps the ~.
    root = base if base.is_absolute() else Path(os.path.expanduser("~")) / ".cache"  # noqa: PTH111
    return root / "recbole_longinterest"


def remember(kind: str, place: object) -> None:
    """Record that the user has named a path. If the cache cannot be written, nothing is recorded.

    Args:
        kind: the setting, such as ``data_path``.
        place: its value.
    """
    file = _file(kind, place)
    try:
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            sweep_folder(file.parent)  # old drafts, whose own names are never written again
            write_text(file, f"{kind}: {place}\n")
    except (OSError, ValueError):
        return


def is_known(kind: str, place: object) -> bool:
    """Whether the user has named this path for this setting, or it is relative and below the working directory."""
    path = Path(str(place)).expanduser()
    if not path.is_absolute() and _exists(path) and path.resolve().is_relative_to(Path.cwd().resolve()):
        return True
    return _file(kind, place).is_file()


def _file(kind: str, place: object) -> Path:
    text = str(place)
    path = Path(text).expanduser()
    if _exists(path):  # otherwise not a path, for example a model name on the hub
        text = str(path.resolve())
    return default_cache_dir() / "places" / sha256(f"{kind}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # too long for a path
        return False
