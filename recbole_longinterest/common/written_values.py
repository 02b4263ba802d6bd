"""Parse values from text: command line, search space, or a dict of strings. Text is never executed."""

import ast
import io
import tokenize
import warnings
from typing import Any

from recbole_longinterest.common.errors import LongInterestError

DEEPEST = 64
"""Maximum nesting depth of lists and dicts in a setting."""
LONGEST = 100_000
"""Longest text, in characters, that is parsed; longer ones stay texts."""
CONSTANTS = ("None", "True", "False")
OPENING, CLOSING = "([{", ")]}"


def read_value(text: str) -> Any:  # noqa: ANN401 - a setting may be anything
    """Parse a Python literal: a number, list, tuple, dict, boolean, None or quoted text.

    ``true`` and ``false`` in any case are booleans, as in RecBole. Any other text (an expression, a call, a name) is
    returned unchanged. Only text made of literals reaches Python's parser.

    Args:
        text: text of a setting, such as ``"[5, 10]"`` or ``"CE"``.

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
            warnings.simplefilter("ignore")  # about backslashes in quoted text
            value = ast.literal_eval(stripped)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return value if _is_plain(value) else text


def check_depth(value: object, name: str) -> None:
    """Reject lists and dicts that are nested too deep, before anything recurses into them.

    Args:
        value: value of a setting.
        name: name of the setting, for the error.

    Raises:
        LongInterestError: for more than :data:`DEEPEST` levels.
    """
    level: list[object] = [value]
    for _ in range(DEEPEST):
        inner: dict[int, object] = {}  # a shared object is visited once
        for each in level:
            parts = each.values() if isinstance(each, dict) else each if isinstance(each, (list, tuple)) else ()
            inner.update((id(part), part) for part in parts if isinstance(part, (dict, list, tuple)))
        level = list(inner.values())
        if not level:
            return
    raise LongInterestError(f"{name} must nest at most {DEEPEST} lists or dicts in each other; it nests more.")


def _is_literal(text: str) -> bool:
    """Whether a text has only tokens of literals, so that parsing it is safe."""
    depth, before = 0, ""
    waiting = False  # after a sign, a number must follow
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
    """Parse the values of a ``choice`` line of RecBole's ``hyper.test``.

    Raises:
        LongInterestError: if the text is not a list of values.
    """
    value = read_value(text)
    if not isinstance(value, (list, tuple)):
        raise LongInterestError(
            f"A choice must be a list of numbers, quoted texts, True, False, None or lists, as [1, 'a']; got {text!r}. "
            "Expressions are not evaluated."
        )
    return list(value)
