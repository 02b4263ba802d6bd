"""Parse untrusted JSON: a single error class, and a limit on the nesting depth."""

import json
from pathlib import Path
from typing import Any

from recbole_longinterest.common.errors import LongInterestError

MAX_DEPTH = 100
TOO_DEEP = f"it nests lists and objects more than {MAX_DEPTH} deep"


class JsonError(LongInterestError):
    """Text that is not JSON, or is nested too deeply; the message is the second half of a sentence."""


def parse_json(text: str | bytes) -> Any:  # noqa: ANN401 - whatever a file holds
    """Parse a JSON text.

    Args:
        text: bytes are UTF-8.

    Raises:
        JsonError: for text that is not JSON, or nests lists and objects more than 100 levels deep.
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise JsonError(TOO_DEEP) from None
    except ValueError as error:
        raise JsonError(str(error)) from error
    level = [content]
    for _ in range(MAX_DEPTH):
        level = [
            part
            for each in level
            if isinstance(each, (list, dict))
            for part in (each if isinstance(each, list) else each.values())
            if isinstance(part, (list, dict))
        ]
        if not level:
            return content
    raise JsonError(TOO_DEEP)


def read_json(path: Path) -> Any:  # noqa: ANN401
    """Read a JSON file.

    Raises:
        JsonError: for a file that cannot be parsed; the message has its name.
    """
    try:
        return parse_json(path.read_bytes())
    except JsonError as error:
        raise JsonError(f"{path} is not JSON, or was cut short or changed: {error}.") from error
