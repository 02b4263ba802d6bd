"""Counts of pairs are those of a loop, and the strategy together adds them up."""

from collections import defaultdict

import numpy as np
import pytest

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.strategies.base import weights_of_last
from recbole_longinterest.serving.strategies.together import Together
from recbole_longinterest.serving.strategies.transitions import DISCOUNT, Transitions
from recbole_longinterest.serving.visitor import Visitor
from tests.serving.strategies.shops import model_with_texts

RNG = np.random.default_rng(0)


def loop(histories: list[np.ndarray], window: int) -> dict[int, dict[int, float]]:
    counts: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for items in histories:
        for first in range(len(items)):
            for distance in range(1, window + 1):
                if first + distance < len(items) and items[first] != items[first + distance]:
                    counts[int(items[first])][int(items[first + distance])] += 1 / distance
    return counts


@pytest.mark.parametrize("window", [1, 3, 100])
def test_the_counts_are_those_of_a_loop(window: int) -> None:
    histories = [RNG.integers(1, 12, RNG.integers(0, 20)) for _ in range(30)]
    table, counts = Transitions.from_histories(histories, 15, window, most=100), loop(histories, window)
    for item in range(15):
        ids, weights = table.followers(item)
        total = sum(counts[item].values()) + DISCOUNT
        assert dict(zip(ids.tolist(), weights.tolist(), strict=True)) == pytest.approx(
            {other: count / total for other, count in counts[item].items()}, rel=1e-6
        )
        assert (np.diff(weights) <= 0).all() and weights.sum() <= 1


def test_the_heaviest_followers_are_kept() -> None:
    histories = [np.array([1, 2])] * 3 + [np.array([1, 3])] * 2 + [np.array([1, 4])]
    ids, weights = Transitions.from_histories(histories, 5, most=2).followers(1)
    assert ids.tolist() == [2, 3] and weights.tolist() == pytest.approx([3 / 7, 2 / 7])


def test_no_pairs() -> None:
    for histories in ([], [np.array([], dtype=np.int64)], [np.array([3])], [np.array([3, 3])]):
        table = Transitions.from_histories(histories, 5)
        assert [len(table.followers(item)[0]) for item in (0, 3, 4, 99)] == [0, 0, 0, 0]


def test_pairs_do_not_cross_users() -> None:
    table = Transitions.from_histories([np.array([1, 2]), np.array([3, 4])], 5)
    assert table.followers(2)[0].tolist() == [] and table.followers(1)[0].tolist() == [2]


@pytest.mark.parametrize(("window", "most"), [(0, 5), (1, 0)])
def test_bad_numbers(window: int, most: int) -> None:
    with pytest.raises(LongInterestError, match=f"window and most must be at least 1; got {window} and {most}"):
        Transitions.from_histories([], 5, window, most)


def test_together_weighs_the_last_items() -> None:
    model = model_with_texts()
    table = Transitions.from_histories([np.array([1, 10]), np.array([2, 10]), np.array([2, 11])], 61)
    visitor = Visitor.with_interest(model.read(["i0", "i1"]), None, 0.0)  # items 1 and 2, the latter newest
    ranking = Together(table).ranking(visitor, RNG)
    assert ranking is not None
    newest, older = weights_of_last(2)
    ids, scores = ranking.best(5)
    assert ids.tolist() == [10, 11]
    assert scores.tolist() == pytest.approx([newest / 3 + older / 2, newest / 3], rel=1e-6)
    assert Together(table).ranking(Visitor.with_interest(model.read(["i20"]), None, 0.0), RNG) is None
