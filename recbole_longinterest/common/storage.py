"""Folders that may be on another machine: a path, or a URL of pyarrow or fsspec."""

from pathlib import Path
from typing import TYPE_CHECKING

from recbole_longinterest.common.errors import LongInterestError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


def absolute(place: str) -> str:
    """Make a local path absolute, because workers have other working folders; a URL does not change."""
    return place if "://" in place else str(Path(place).expanduser().resolve())


def open_storage(place: str) -> "tuple[FileSystem, str]":
    """Return the file system of a folder or file, and the path in it.

    Args:
        place: a path of this machine, or a URL: ``s3://``, ``gs://``, ``hdfs://`` and ``file://`` are pyarrow's own;
            others (``abfs://``, ``memory://``, ...) are opened by fsspec, if its package for them is installed.

    Raises:
        LongInterestError: for a URL that neither library can open.
    """
    from pyarrow import ArrowException, fs  # takes 0.1 s, and only storage needs it

    if "://" not in place:
        return fs.LocalFileSystem(), Path(absolute(place)).as_posix()
    try:
        system, path = fs.FileSystem.from_uri(place)
        return system, path
    except (ArrowException, ValueError, OSError) as error:
        why = error
    try:
        import fsspec  # a dependency of ray

        other, path = fsspec.core.url_to_fs(place)
    except (ImportError, ValueError, OSError) as error:
        raise LongInterestError(
            f"{place} cannot be opened: {' '.join(str(error or why).split())}. Give a path, or a URL of pyarrow "
            "(s3://, gs://, hdfs://, file://) or of an installed fsspec package."
        ) from error
    return fs.PyFileSystem(fs.FSSpecHandler(other)), path
