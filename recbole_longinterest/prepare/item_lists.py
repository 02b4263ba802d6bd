"""Item columns whose values are lists: as JSON, as Python literals, in Postgres braces, or with a separator."""

import ast
import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

MARK = "\x1f"  # precedes every part of a list that is stored as one text; never occurs in texts
SEPARATORS = ("|", ";", ",")  # candidates, in order
NAME_KEYS = ("name", "title", "label", "value")  # name of a record in a list, such as TMDB's genres
POSSIBLE = (*SEPARATORS, "/", ">")  # possible separators that the report mentions
SHARE = 0.2  # minimum share of values with the separator
REUSE = 0.5  # minimum share of parts that occur in several values
MAX_PART = 40  # maximum mean length of a part, in characters
SAMPLE = 20_000  # number of values to check
BRACKETS = {"[": "]", "(": ")", "{": "}"}
NUMPY = re.compile(r"'[^']*'|\"[^\"]*\"")
CATEGORY_NAMES = re.compile(
    r"(main|sub|product|item|movie|game|top|first|second|third)?_?"
    r"(category|categories|cat|cats|genres?|class|brand|department|type|tags?|labels?|kinds?|sections?|topics?|groups?)"
    r"(_?(name|names|list|code|\d+))?",
    re.IGNORECASE,
)


def joined_list(parts: Iterable[str]) -> str:
    """Store a list as one text."""
    return "".join(MARK + part for part in dict.fromkeys(parts) if part)


def list_of(text: str) -> list[str]:
    """Return the parts of a :func:`joined_list`; any other text is a list with one part."""
    return text.split(MARK)[1:] if text.startswith(MARK) else [text]


def as_list(text: str) -> list[str] | None:
    """Parse a list written as JSON or as printed by Python, numpy or Postgres; None for other text."""
    text = text.strip()
    if len(text) < 2 or BRACKETS.get(text[0]) != text[-1]:
        return None
    for read in (json.loads, ast.literal_eval):  # neither runs code
        try:
            value = read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if isinstance(value, (list, tuple, set, frozenset)):
            numpy_array = (
                text[0] == "[" and "," not in text and len(NUMPY.findall(text)) > 1
            )  # Python would read ['a' 'b'] as ['ab']
            return [part[1:-1] for part in NUMPY.findall(text)] if numpy_array else strings_in(value)
    if text[0] == "{" and ":" not in text:
        return next(csv.reader([text[1:-1]], escapechar="\\"), [])
    return None


def strings_in(value: Any) -> list[str]:  # noqa: ANN401 - a value of JSON
    """Return the texts of nested lists, in order; a record gives its name."""
    if isinstance(value, dict):
        return next((strings_in(value[key]) for key in NAME_KEYS if key in value), [])
    if isinstance(value, (list, tuple, set, frozenset)):
        values = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return [text for part in values for text in strings_in(part)]
    return [] if value is None or value != value else [str(value)]


def is_category(name: str, values: Sequence[str]) -> bool:
    """Whether a text column holds categories, not titles: by its name, or because values repeat twice on average."""
    return CATEGORY_NAMES.fullmatch(name) is not None or (len(values) >= 4 and len(set(values)) * 2 <= len(values))


def find_separator(values: Iterable[str], declared: bool) -> str | None:
    """Detect the list separator of a column; None for single values.

    A name may contain a comma (Clothing, Shoes & Jewelry), so a separator is accepted only if parts occur again in
    other values. A bar, and a semicolon in declared categories, are accepted without this check.

    Args:
        values: raw values of the column.
        declared: the user declared the column as categories.
    """
    values = list(dict.fromkeys(value for value in values if not value.startswith(MARK)))[:SAMPLE]
    for separator in SEPARATORS:
        lists = [[part.strip() for part in value.split(separator) if part.strip()] for value in values]
        several = [parts for parts in lists if len(parts) > 1]
        if not several or (not declared and len(several) < SHARE * len(values)):
            continue
        parts = [part for some in several for part in some]
        if sum(map(len, parts)) > MAX_PART * len(parts):
            continue
        uses = Counter(part for some in lists for part in set(some))
        reused = sum(number > 1 for number in uses.values()) >= REUSE * len(uses)
        if separator == "|" or (declared and separator == ";") or (len(several) > 1 and reused):
            return separator
    return None


def split_values(values: dict[str, str], separator: str, drop: Callable[[str], bool]) -> None:
    """Split the values of a column into lists, in place, without the parts to drop."""
    for item, value in values.items():
        if not value.startswith(MARK):
            parts = (part.strip() for part in value.split(separator))
            values[item] = joined_list(part for part in parts if not drop(part))
