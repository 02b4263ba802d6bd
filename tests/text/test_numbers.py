"""Numbers in words: which word a number gets, what is no number, and what is no rule."""

from typing import Any

import numpy as np
import pytest

from recbole_longinterest.text.numbers import NumberWords, quantile_limits
from recbole_longinterest.text.template import columns_of


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (10, {"1994": "1990", "1990": "1990", "1989.9": "1980", "-1": "-10", "7": "0", "1e308": "1e308"}),
        (0.1, {"0.3": "0.3", "0.39": "0.3", "2": "2"}),
        ([10], {"9.99": "low list price", "10": "high list price"}),
        ([10, 50], {"49.9": "medium list price", "-inf": "-inf"}),
        ([1, 2, 3], {"0": "very low list price", "1": "low list price", "3": "very high list price"}),
        ([1, 2, 3, 4], {"2": "medium list price", " 4.5": "very high list price"}),
        ({"limits": [10, 50], "words": ["便宜", "cheap enough", "dear"]}, {"5": "便宜", "50.0": "dear"}),
    ],
)
def test_words(rule: Any, words: dict[str, str]) -> None:
    numbers = NumberWords({"list_price": rule})
    for cell in ("", "n/a", "$5", "nan", "inf", "1, 2"):  # no number, so it stays
        assert numbers.replace("list_price", cell) == cell
    assert {cell: numbers.replace("list_price", cell) for cell in words} == words
    assert numbers.replace("year", "5") == "5" and numbers.columns == ["list_price"]


def test_words_in_sentences_and_templates() -> None:
    rules = {"price": [10, 50], "year": 10}
    columns, join = columns_of(["title", "year", "price"], None, rules)
    assert join is not None and join(["Heat", "1995", "60"]) == "Heat. 1990. high price"
    assert join(["Heat", "", "?"]) == "Heat. ?"
    columns, join = columns_of(None, "{title} ({year}), {price}", rules)
    assert columns == ["title", "year", "price"]
    assert join is not None and join(["Heat", "1995", "9"]) == "Heat (1990), low price"
    assert columns_of(["title"], None, rules) == (["title"], None)


@pytest.mark.parametrize(
    ("numbers", "limits"),
    [
        ([*range(1, 101)], [21, 41, 61, 81]),
        ([1.5, 1.5, 1.5, 1.5, 2.5], [2.5]),
        ([3, 3, 3], []),
        ([7], []),
    ],
)
def test_limits_are_numbers_of_the_data_and_divide_it(numbers: list[float], limits: list[float]) -> None:
    found = quantile_limits(np.array(numbers, float))
    assert found == limits and all(isinstance(one, type(other)) for one, other in zip(found, limits, strict=True))


RULE = r"text_numbers\.price must be a step above 0 \(10\), rising limits .*; got "


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            ["price"],
            r"text_numbers must map columns .*; got \['price'\]\. On the command line names need quotes: --text",
        ),
        ({7: 10}, "text_numbers must map columns"),
        *(
            ({"price": rule}, RULE)
            for rule in (0, -1, True, None, "10", [], [2, 1], [1, 1], [1, "2"], [1, float("nan")], {"limits": [1]})
        ),
        ({"price": {"limits": [2, 1], "words": ["a", "b", "c"]}}, RULE),
        ({"price": [1, 2, 3, 4, 5]}, r"price has 5 limits, and default words exist for up to 4\. Give words"),
        ({"price": {"limits": [1], "words": ["a"]}}, r"price\.words must be 2 texts, one more than .*; got \['a'\]"),
        ({"price": {"limits": [1], "words": ["a", " "]}}, r"price\.words must be 2 texts"),
        ({"price": {"limits": [1], "words": "ab"}}, r"price\.words must be 2 texts"),
    ],
)
def test_wrong_rules(rules: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NumberWords(rules)
