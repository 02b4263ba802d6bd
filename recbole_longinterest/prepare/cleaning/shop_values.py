"""Texts and prices out of the records of shops: Amazon's products, Steam's games."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from recbole_longinterest.prepare.cleaning.escaping import MISSING_WORDS
from recbole_longinterest.prepare.cleaning.html_text import is_page_fragment, plain_text

FRAGMENT = "titles that are pieces of a web page, dropped"
BAD_PRICE = "prices that are no numbers, left empty"
PRICE = re.compile(r"\s*(?:from\s+)?(?:US\s*)?\$?\s*(\d[\d,]*\.?\d*|\.\d+)\s*(?:-\s*\$?\s*[\d,.]+\s*)?", re.IGNORECASE)


def words_of(value: object) -> str:
    """The plain text of a value: of a list its parts in order, each once."""
    return " ".join(parts_of(value))


def parts_of(value: object) -> list[str]:
    """The plain texts of a value that is a list, each once, in order."""
    return list(dict.fromkeys(part for part in map(plain_text, _strings(value)) if part))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _strings(part)


def title_of(values: Iterable[Any], changed: Counter[str]) -> str:
    """The first of some values that is a title; pieces of a web page are counted and passed over."""
    for value in values:
        if not isinstance(value, str) or not value.strip():
            continue
        if is_page_fragment(value):
            changed[FRAGMENT] += 1
            continue
        return plain_text(value)
    return ""


def price_of(value: object, changed: Counter[str], free: frozenset[str] = frozenset()) -> str:
    """A price as digits, of a range the lower end; "" if there is none.

    Args:
        value: of the record.
        changed: counts the values that are no prices.
        free: words that mean 0, in lower case.
    """
    if value is None or isinstance(value, bool) or (isinstance(value, str) and value in MISSING_WORDS):
        return ""
    if isinstance(value, (int, float)):
        if value >= 0 and value < float("inf"):
            return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    elif isinstance(value, str):
        if value.strip().lower() in free:
            return "0"
        match = PRICE.fullmatch(value)
        if match:
            return match.group(1).replace(",", "")
    changed[BAD_PRICE] += 1
    return ""
