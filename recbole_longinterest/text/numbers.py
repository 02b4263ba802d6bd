"""Write the numbers of item columns as words: a price of 129 as "high price", the year 1994 as 1990 (``text_numbers``).

A text encoder knows words better than numbers. Its vectors of "129.00" and "131.50" may be far apart.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError

SIZES = {
    1: ("low", "high"),
    2: ("low", "medium", "high"),
    3: ("very low", "low", "high", "very high"),
    4: ("very low", "low", "medium", "high", "very high"),
}
"""Number of limits -> default words, put before the column's name."""
DECIMALS = 10  # of a rounded number; steps such as 0.1 are not exact
FORMS = "a step above 0 (10), rising limits ([10, 50]), or limits with words ({limits: [10], words: [cheap, dear]})"


@dataclass(frozen=True)
class _Step:
    """Round down to a multiple of a step."""

    step: float

    def __call__(self, number: float) -> str:
        multiples = number / self.step
        if not abs(multiples) < 2**53:  # beyond the precision of a float
            return ""
        rounded = math.floor(multiples + 10**-DECIMALS) * self.step
        return f"{rounded:.{DECIMALS}f}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class _Words:
    """Choose a word by limits; a number equal to a limit gets the word above the limit."""

    limits: tuple[float, ...]
    words: tuple[str, ...]

    def __call__(self, number: float) -> str:
        return self.words[bisect_right(self.limits, number)]


class NumberWords:
    """Rules that replace the numbers of some columns by words.

    A rule is one of:

    - a step: the number is rounded down to a multiple of it. ``year: 10`` makes 1990 of 1994.
    - limits: a number below the first limit gets the first word. ``price: [10, 50]`` gives "low price", "medium price"
      and "high price". One to four limits have such words, made from the column's name.
    - limits with own words: ``price: {limits: [10, 50], words: [cheap, usual, expensive]}``.

    Args:
        rules: column -> rule; None for no rules.

    Raises:
        LongInterestError: for the first wrong rule.
    """

    def __init__(self, rules: object) -> None:
        if rules is None:
            rules = {}
        if not isinstance(rules, Mapping) or not all(isinstance(column, str) for column in rules):
            raise LongInterestError(
                "text_numbers must map columns of the .item file to rules, such as {'price': [10, 50], 'year': 10}; "
                f"got {rules!r}. On the command line names need quotes: --text_numbers=\"{{'year': 10}}\"."
            )
        self._rules = {column: _read_rule(column, rule) for column, rule in rules.items()}

    @property
    def columns(self) -> list[str]:
        """Columns with a rule."""
        return list(self._rules)

    def replace(self, column: str, cell: str) -> str:
        """Return the words of a cell, or the cell itself if its column has no rule or it is not a finite number."""
        rule = self._rules.get(column)
        number = None if rule is None else number_in(cell)
        return cell if rule is None or number is None else rule(number) or cell


def number_in(text: str) -> float | None:
    """Convert a text to a finite number; None if it is not one."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def quantile_limits(numbers: NDArray[np.float64]) -> list[float]:
    """Find up to four limits that divide numbers into groups of nearly the same size.

    Each limit is one of the numbers. Equal numbers are in one group, so there may be fewer limits.

    Args:
        numbers: finite numbers, [n]; n is at least 1.

    Returns:
        Rising limits for :class:`NumberWords`; empty if all numbers are equal.
    """
    limits = np.unique(np.quantile(numbers, (0.2, 0.4, 0.6, 0.8), method="higher"))
    return [int(limit) if limit.is_integer() else limit for limit in limits.tolist() if limit > numbers.min()]


def _read_rule(column: str, rule: object) -> Callable[[float], str]:
    step = _number(rule)
    if step is not None and step > 0:
        return _Step(step)
    has_words = isinstance(rule, Mapping) and set(rule) == {"limits", "words"}
    limits = _rising(rule["limits"] if isinstance(rule, Mapping) and has_words else rule)
    if not limits:
        raise LongInterestError(f"text_numbers.{column} must be {FORMS}; got {rule!r}.")
    if not isinstance(rule, Mapping):
        if len(limits) not in SIZES:
            raise LongInterestError(
                f"text_numbers.{column} has {len(limits)} limits, and default words exist for up to {max(SIZES)}. "
                "Give words: {limits: [...], words: [...]}."
            )
        return _Words(limits, tuple(f"{size} {column.replace('_', ' ')}" for size in SIZES[len(limits)]))
    words = rule["words"] if isinstance(rule["words"], (list, tuple)) else ()
    if len(words) != len(limits) + 1 or not all(isinstance(word, str) and word.strip() for word in words):
        raise LongInterestError(
            f"text_numbers.{column}.words must be {len(limits) + 1} texts, one more than the limits; got "
            f"{rule['words']!r}."
        )
    return _Words(limits, tuple(words))


def _rising(limits: object) -> tuple[float, ...]:
    """The limits as numbers; empty if they are not a list of rising numbers."""
    numbers = [_number(limit) for limit in limits] if isinstance(limits, (list, tuple)) else []
    known = tuple(number for number in numbers if number is not None)
    rises = len(known) == len(numbers) and all(low < high for low, high in pairwise(known))
    return known if rises else ()


def _number(value: object) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None  # type: ignore[arg-type]
