"""Conditions on items: ``{category: [Books, Toys], price: {max: 20}}``."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.serving.rules.catalogue import ITEM, Catalogue
from recbole_longinterest.serving.rules.problems import Problems

TRUE, FALSE = ("true", "1", "yes"), ("false", "0", "no")  # spellings in tables


@dataclass(frozen=True)
class Check:
    """The check of one attribute in a condition.

    Attributes:
        attribute: ``item``, ``category``, or a column of the item table.
        values: an item must have one of these values; empty for a numeric range.
        without: an item must instead have none of the values.
        low: lower bound of a numeric range.
        high: upper bound of a numeric range.
    """

    attribute: str
    values: tuple[str, ...] = ()
    without: bool = False
    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True)
class Condition:
    """A conjunction of checks; an item without a number fails every range check."""

    tests: tuple[Check, ...]

    def mask(self, catalogue: Catalogue) -> NDArray[np.bool_]:
        """Return a mask of the items that meet the condition, [N]; never the padding."""
        out = np.ones(len(catalogue), dtype=bool)
        for test in self.tests:
            if not test.values:
                numbers = catalogue.numbers(test.attribute)
                out &= (numbers >= test.low) & (numbers <= test.high)
                continue
            if test.attribute == ITEM:
                having = np.zeros(len(catalogue), dtype=bool)
                having[catalogue.ids(test.values)] = True
            else:
                having = catalogue.groups(test.attribute).having(_alike(test.values))
            out &= ~having if test.without else having
        out[0] = False
        return out


def read_condition(value: object, where: str, problems: Problems) -> Condition:
    """Read a condition.

    Args:
        value: a mapping from attributes to a value, a list of values, ``{min: , max: }`` or ``{not: values}``.
        where: its location, for messages.
        problems: collects the errors.
    """
    tests = []
    for attribute, wanted in problems.mapping(value, where).items():
        place = f"{where}.{attribute}"
        if not isinstance(wanted, Mapping):
            tests.append(Check(attribute, tuple(problems.texts(wanted, place))))
            continue
        given = problems.mapping(wanted, place, ("min", "max", "not"))
        if "not" in given and len(given) == 1:
            tests.append(Check(attribute, tuple(problems.texts(given["not"], f"{place}.not")), without=True))
        elif given and "not" not in given:
            low = problems.number(given.get("min", -np.inf), f"{place}.min", -np.inf)
            high = problems.number(given.get("max", np.inf), f"{place}.max", -np.inf)
            tests.append(Check(attribute, low=low, high=high))
            if low > high:
                problems.add(place, "a min below its max", dict(given))
        else:
            problems.add(place, "values, {min: , max: } or {not: values}", wanted)
    if isinstance(value, Mapping) and not value:
        problems.add(where, "a condition on at least one attribute", value)
    return Condition(tuple(tests))


def check_condition(condition: Condition, where: str, catalogue: Catalogue, problems: Problems) -> None:
    """Check that a condition uses only existing attributes."""
    for test in condition.tests:
        if test.attribute not in catalogue.attributes:
            known = ", ".join(catalogue.attributes)
            problems.found.append(
                f"{where}: items have no attribute {test.attribute!r}, only {known}; items.file adds columns of a table"
            )
        elif not test.values:
            try:
                catalogue.numbers(test.attribute)
            except ValueError as error:
                problems.found.append(f"{where}: {error}")


def _alike(values: tuple[str, ...]) -> list[str]:
    """Add the other spellings of true and false to some values."""
    out = list(values)
    for words in (TRUE, FALSE):
        if words[0] in values:
            out += [*words, words[0].capitalize(), words[0].upper()]
    return out
