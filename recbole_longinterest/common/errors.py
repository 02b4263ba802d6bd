"""One base class for all errors that a user can act on."""

import traceback
from pathlib import Path

from recbole_longinterest.common.printable import printable


class LongInterestError(ValueError):
    """A setting, file, or argument that cannot be used; the message says what is wrong and what to do.

    It is a ``ValueError``, so code that catches ``ValueError`` catches it too. Control characters in quoted file
    contents and tokens are escaped.

    Attributes:
        exit_code: exit status of `recbole-li` when it ends with this error.
    """

    exit_code = 2

    def __init__(self, *args: object) -> None:
        super().__init__(*(printable(arg) if isinstance(arg, str) else arg for arg in args))


def raised_at(error: BaseException) -> str:
    """Format the file and line where an error was raised, without Python's own import machinery."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else "an unknown place"
