"""Limits and diversity over the whole of an answer."""

import numpy as np
import pytest
import torch

from recbole_longinterest.serving.candidates import EVERYTHING, Admission, Dense, Ids, Ranking, Scores
from recbole_longinterest.serving.rules.catalogue import Groups
from recbole_longinterest.serving.rules.selection import Selection
from recbole_longinterest.serving.rules.settings import Diversity

N = 400


def ranking() -> Dense:
    """Item 1 is best."""
    return Dense(-np.arange(N, dtype=np.float32), logits=True)


def taken(selection: Selection, *rankings: Ranking) -> list[int]:
    """Items of the strategies in turn, until none has more or the places are full."""
    offered = [selection.candidates(each, Admission()) for each in rankings]
    found = []
    while not selection.full:
        before = len(found)
        for each in offered:
            if not selection.full and (pair := each.take()) is not None:
                found.append(pair[0])
        if len(found) == before:
            break
    return found


def test_the_best_items_without_limits() -> None:
    assert taken(Selection(5, [], None, torch.zeros(N, 2)), ranking()) == [1, 2, 3, 4, 5]


def test_at_most_so_many_of_a_value() -> None:
    groups = Groups.of([[], *([["a"], ["a", "b"], ["c"]][item % 3] for item in range(1, N))])
    found = taken(Selection(6, [(groups, 2)], None, torch.zeros(N, 2)), ranking())
    # 1 is a and b, 2 is c, 3 is a; then a is full, so of the others only c is left once
    assert found == [1, 2, 3, 5]


def test_items_far_down_fill_the_places_that_limits_leave() -> None:
    groups = Groups.of([[], *(["a"] if item < 300 else ["b"] for item in range(1, N))])
    assert taken(Selection(4, [(groups, 2)], None, torch.zeros(N, 2)), ranking()) == [1, 2, 300, 301]


def test_two_limits_and_two_strategies_share_one_answer() -> None:
    brands = Groups.of([[], *([f"b{item % 7}"] for item in range(1, N))])
    categories = Groups.of([[], *([f"c{item % 3}"] for item in range(1, N))])
    backwards = Dense(np.arange(N, dtype=np.float32), logits=True)
    found = taken(Selection(6, [(brands, 1), (categories, 2)], None, torch.zeros(N, 2)), ranking(), backwards)
    assert len(found) == 6 and found[:2] == [1, N - 1]
    assert len({item % 7 for item in found}) == 6
    assert max([item % 3 for item in found].count(rest) for rest in range(3)) == 2


def reference(scores: np.ndarray, vectors: np.ndarray, weight: float, pool: int, number: int) -> list[int]:
    """Maximal marginal relevance, by its formula."""
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
    order = [int(item) for item in np.argsort(-scores) if item]
    first = scores[order[:pool]]
    chosen: list[int] = []
    for _ in range(number):
        left = [item for item in order if item not in chosen][:pool]
        relevance = (scores[left] - first.min()) / np.ptp(first)
        like = np.array([max((units[item] @ units[other] for other in chosen), default=0) for item in left])
        chosen.append(left[int(np.argmax((1 - weight) * relevance - weight * like))])
    return chosen


@pytest.mark.parametrize("weight", [0.0, 0.2, 0.6, 1.0])
def test_diversity_is_the_formula(weight: float) -> None:
    rng = np.random.default_rng(0)
    scores, vectors = rng.normal(size=N).astype(np.float32), rng.normal(size=(N, 4)).astype(np.float32)
    selection = Selection(8, [], Diversity(weight, 30), torch.from_numpy(vectors))
    assert taken(selection, Dense(scores, logits=True)) == reference(scores, vectors, weight, 30, 8)


def test_more_weight_makes_items_less_alike() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(N, 4)).astype(np.float32)
    scores = (vectors @ rng.normal(size=4)).astype(np.float32)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    means = []
    for weight in (0.0, 0.3, 0.7):
        found = taken(Selection(8, [], Diversity(weight, 100), torch.from_numpy(vectors)), Dense(scores, logits=True))
        means.append(float((units[found] @ units[found].T).mean()))
    assert means[0] > means[1] > means[2]


class Counted(Dense):
    """A ranking that counts how often it is asked."""

    asked = 0

    def best(self, number: int, admission: Admission = EVERYTHING) -> tuple[Ids, Scores]:
        self.asked += 1
        return super().best(number, admission)


def test_a_full_value_is_passed_over_without_a_look_at_all_its_items() -> None:
    """The best 300 items have one value: the ranking is asked for the rest, not for longer and longer lists."""
    groups = Groups.of([[], *(["a"] if item < 300 else [f"b{item}"] for item in range(1, N))])
    counted = Counted(-np.arange(N, dtype=np.float32), logits=True)
    found = taken(Selection(20, [(groups, 2)], None, torch.zeros(N, 2)), counted)
    assert found == [1, 2, *range(300, 318)] and counted.asked == 2
    nothing = Counted(-np.arange(N, dtype=np.float32), logits=True)
    whole = Groups.of([[], *(["a"] for _ in range(1, N))])
    assert taken(Selection(5, [(whole, 2)], None, torch.zeros(N, 2)), nothing) == [1, 2] and nothing.asked == 2
