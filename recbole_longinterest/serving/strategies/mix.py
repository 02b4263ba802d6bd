"""Distribute the places of an answer among strategies, by shares that depend on the visitor's number of events."""

from collections.abc import Mapping, Sequence

import numpy as np

from recbole_longinterest.serving.rules.settings import MixRule

EVER = float("inf")
DEFAULT_MIX = (
    MixRule(0, 0, {"popular": 0.9, "new": 0.1}),
    MixRule(1, 1, {"similar": 0.6, "together": 0.2, "popular": 0.1, "new": 0.1}),
    MixRule(2, EVER, {"interest": 0.9, "new": 0.1}),
)
"""For rules without ``mix``: no event -> popular, one -> mostly similar, more -> interest; new items for all."""


def rule_for(events: int, mix: Sequence[MixRule]) -> MixRule | None:
    """Return the first rule for visitors with this number of events; None without a matching rule."""
    return next((rule for rule in mix or DEFAULT_MIX if rule.low <= events <= rule.high), None)


def places_by_share(shares: Mapping[str, float], number: int, rng: np.random.Generator) -> list[str]:
    """Choose a strategy for each place.

    Systematic sampling: counts are proportional to the shares, rounded up or down at random so that they are correct on
    average. The order is random, so that no strategy always gets the best places.

    Args:
        shares: shares of at least 0, at least one above 0; they need not sum to 1.
        number: number of places.
        rng: random generator.
    """
    names = [name for name, share in shares.items() if share > 0]
    edges = np.cumsum([shares[name] for name in names])
    points = (rng.random() + np.arange(number)) / number * edges[-1]
    which = np.searchsorted(edges, points, side="right").clip(max=len(names) - 1)
    return [names[place] for place in rng.permutation(which)]
