"""Extract texts and prices from shop records: Amazon's products, Steam's games."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from recbole_longinterest.prepare.cleaning.escaping import MISSING_WORDS
from recbole_longinterest.prepare.cleaning.html_text import is_page_fragment, plain_text

FRAGMENT = "titles that are pieces of a web page, dropped"
BAD_PRICE = "prices that are not numbers, left empty"
PRICE = re.compile(r"\s*(?:from\s+)?(?:US\s*)?\$?\s*(\d[\d,]*\.?\d*|\.\d+)\s*(?:-\s*\$?\s*[\d,.]+\s*)?", re.IGNORECASE)


def words_of(value: object) -> str:
    """Return the plain text of a value; the distinct parts of a list are joined in order."""
    return " ".join(parts_of(value))


def parts_of(value: object) -> list[str]:
    """Return the distinct plain texts of a (nested) list, in order."""
    return list(dict.fromkeys(part for part in map(plain_text, _strings(value)) if part))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _strings(part)


def title_of(values: Iterable[Any], changed: Counter[str]) -> str:
    """Return the first usable title of the given values; fragments of a web page are counted and skipped."""
    for value in values:
        if not isinstance(value, str) or not value.strip():
            continue
        if is_page_fragment(value):
            changed[FRAGMENT] += 1
            continue
        return plain_text(value)
    return ""


def price_of(value: object, changed: Counter[str], free: frozenset[str] = frozenset()) -> str:
    """Return a price as digits, the lower end of a range; "" for a missing or invalid price.

    Args:
        value: value of the record.
        changed: counts invalid values.
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
