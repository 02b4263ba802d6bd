"""Columns of items whose values are lists: written as JSON, as Python, in Postgres' braces, or with a separator."""

import ast
import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

MARK = "\x1f"  # before every part of a list that is held as one text; no text holds it
SEPARATORS = ("|", ";", ",")  # that are looked for in the values
NAME_KEYS = ("name", "title", "label", "value")  # of a list of records, as TMDB has its genres
POSSIBLE = (*SEPARATORS, "/", ">")  # that the report points out
SHARE = 0.2  # of the values that have a separator
REUSE = 0.5  # of the parts that stand in several values
MAX_PART = 40  # characters of a part, on average
SAMPLE = 20_000  # values that are looked at
BRACKETS = {"[": "]", "(": ")", "{": "}"}
NUMPY = re.compile(r"'[^']*'|\"[^\"]*\"")
CATEGORY_NAMES = re.compile(
    r"(main|sub|product|item|movie|game|top|first|second|third)?_?"
    r"(category|categories|cat|cats|genres?|class|brand|department|type|tags?|labels?|kinds?|sections?|topics?|groups?)"
    r"(_?(name|names|list|code|\d+))?",
    re.IGNORECASE,
)


def joined_list(parts: Iterable[str]) -> str:
    """A list as one text."""
    return "".join(MARK + part for part in dict.fromkeys(parts) if part)


def list_of(text: str) -> list[str]:
    """The parts of a :func:`joined_list`; another text is a list of one."""
    return text.split(MARK)[1:] if text.startswith(MARK) else [text]


def as_list(text: str) -> list[str] | None:
    """The parts of a list that is written as JSON, as Python or numpy print it, or as Postgres does; else None."""
    text = text.strip()
    if len(text) < 2 or BRACKETS.get(text[0]) != text[-1]:
        return None
    for read in (json.loads, ast.literal_eval):  # neither runs code
        try:
            value = read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if isinstance(value, (list, tuple, set, frozenset)):
            numpy_array = text[0] == "[" and "," not in text and len(NUMPY.findall(text)) > 1  # ['a' 'b'] is no 'ab'
            return [part[1:-1] for part in NUMPY.findall(text)] if numpy_array else strings_in(value)
    if text[0] == "{" and ":" not in text:
        return next(csv.reader([text[1:-1]], escapechar="\\"), [])
    return None


def strings_in(value: Any) -> list[str]:  # noqa: ANN401 - a value of JSON
    """The texts of nested lists, in order; of a record its name."""
    if isinstance(value, dict):
        return next((strings_in(value[key]) for key in NAME_KEYS if key in value), [])
    if isinstance(value, (list, tuple, set, frozenset)):
        values = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return [text for part in values for text in strings_in(part)]
    return [] if value is None or value != value else [str(value)]


def is_category(name: str, values: Sequence[str]) -> bool:
    """Whether the first column of texts is no title: it is named like a category, or every value stands twice."""
    return CATEGORY_NAMES.fullmatch(name) is not None or (len(values) >= 4 and len(set(values)) * 2 <= len(values))


def find_separator(values: Iterable[str], declared: bool) -> str | None:
    """What separates the parts of lists, None for single values.

    A name may hold a comma (Clothing, Shoes & Jewelry). So a separator counts only where the parts are used again in
    other values; a bar needs no such proof, nor a semicolon in what the user calls categories.

    Args:
        values: of a column, as they stand.
        declared: the user says that they are categories.
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
    """Make lists of the values of a column, in place, without the parts to drop."""
    for item, value in values.items():
        if not value.startswith(MARK):
            parts = (part.strip() for part in value.split(separator))
            values[item] = joined_list(part for part in parts if not drop(part))
