"""Values from text: of the command line, of a search space, of a dict of strings. No text is ever run."""

import ast
import io
import tokenize
import warnings
from typing import Any

from recbole_longinterest.common.errors import LongInterestError

DEEPEST = 64
"""Levels of lists and dicts in each other that a setting may have."""
LONGEST = 100_000
"""Characters of a text that is read as more than a text."""
CONSTANTS = ("None", "True", "False")
OPENING, CLOSING = "([{", ")]}"


def read_value(text: str) -> Any:  # noqa: ANN401 - a setting may be anything
    """The value that a text writes as Python does: a number, list, tuple, dict, boolean, None or quoted text.

    ``true`` and ``false`` in any case are booleans, as in RecBole. All other text stands for itself: an expression, a
    call, a name. Only what consists of literals reaches Python's parser.

    Args:
        text: of a setting, as ``"[5, 10]"`` or ``"CE"``.

    Raises:
        LongInterestError: for brackets that nest deeper than :data:`DEEPEST`.
    """
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    stripped = text.strip()
    if len(stripped) > LONGEST or not _is_literal(stripped):
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a backslash in a quoted text
            value = ast.literal_eval(stripped)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return value if _is_plain(value) else text


def check_depth(value: object, name: str) -> None:
    """Refuse lists and dicts that nest without end, before anything recurses into them.

    Args:
        value: of a setting.
        name: of the setting, for the error.

    Raises:
        LongInterestError: for more than :data:`DEEPEST` levels.
    """
    level: list[object] = [value]
    for _ in range(DEEPEST):
        inner: dict[int, object] = {}  # of what is shared, one: its parts are the same
        for each in level:
            parts = each.values() if isinstance(each, dict) else each if isinstance(each, (list, tuple)) else ()
            inner.update((id(part), part) for part in parts if isinstance(part, (dict, list, tuple)))
        level = list(inner.values())
        if not level:
            return
    raise LongInterestError(f"{name} must nest at most {DEEPEST} lists or dicts in each other; it nests more.")


def _is_literal(text: str) -> bool:
    """Whether a text is made of the tokens of literals alone, so that parsing it is safe whatever it says."""
    depth, before = 0, ""
    waiting = False  # after a sign, for its number
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            kind, said = token.type, token.string
            if waiting and kind != tokenize.NUMBER:
                return False
            waiting = False
            if kind == tokenize.OP and said in OPENING:
                depth += 1
                if depth > DEEPEST:
                    raise LongInterestError(
                        f"A value must nest at most {DEEPEST} brackets in each other; {text[:20]!r}... nests more."
                    )
            elif kind == tokenize.OP and said in CLOSING:
                depth -= 1
            elif kind == tokenize.OP and said in "+-":
                if before not in ("", ",", ":", *OPENING):
                    return False
                waiting = True
            elif kind == tokenize.NAME:
                if said not in CONSTANTS:
                    return False
            elif kind == tokenize.OP:
                if said not in (",", ":"):
                    return False
            elif kind not in (tokenize.NUMBER, tokenize.STRING, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER):
                return False
            before = said
    except (tokenize.TokenError, SyntaxError, UnicodeError):
        return False
    return True


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(part) for pair in value.items() for part in pair)
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def read_choices(text: str) -> list[Any]:
    """The values of a ``choice`` line of RecBole's ``hyper.test``.

    Raises:
        LongInterestError: if the text is no list of values.
    """
    value = read_value(text)
    if not isinstance(value, (list, tuple)):
        raise LongInterestError(
            f"A choice must be a list of numbers, quoted texts, True, False, None or lists, as [1, 'a']; got {text!r}. "
            "Nothing in it is calculated."
        )
    return list(value)
