"""Shares of the places hold on average, and no strategy has the best places."""

from collections import Counter

import numpy as np
import pytest

from recbole_longinterest.serving.rules.settings import MixRule
from recbole_longinterest.serving.strategies.mix import DEFAULT_MIX, places_by_share, rule_for


def test_whole_shares_are_exact() -> None:
    for seed in range(20):
        found = places_by_share({"a": 3, "b": 1, "c": 0, "d": 1}, 10, np.random.default_rng(seed))
        assert Counter(found) == {"a": 6, "b": 2, "d": 2}


@pytest.mark.parametrize("number", [1, 3, 7])
def test_shares_hold_on_average_and_in_every_place(number: int) -> None:
    shares = {"a": 0.7, "b": 0.2, "c": 0.1}
    rng = np.random.default_rng(0)
    drawn = [places_by_share(shares, number, rng) for _ in range(4000)]
    for place in range(number):
        counts = Counter(names[place] for names in drawn)
        for name, share in shares.items():
            assert counts[name] / 4000 == pytest.approx(share, abs=0.03)
    sizes = {names.count("a") for names in drawn}
    assert max(sizes) - min(sizes) <= 1  # rounded up or down


def test_the_first_rule_that_fits_is_taken() -> None:
    mix = (MixRule(0, 3, {"a": 1}), MixRule(2, 9, {"b": 1}))
    assert [rule and next(iter(rule.shares)) for rule in (rule_for(n, mix) for n in (0, 3, 4, 10))] == [
        *("a", "a", "b", None)
    ]


def test_without_rules_nobody_gets_what_is_popular_and_one_event_what_is_similar() -> None:
    assert [max(rule.shares, key=rule.shares.__getitem__) for rule in DEFAULT_MIX] == ["popular", "similar", "interest"]
    assert all("new" in rule.shares for rule in DEFAULT_MIX)
    assert all(rule_for(number, ()) is not None for number in (0, 1, 2, 10**6))
