"""Ranks by hand; metrics and lists against RecBole's own classes."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from recbole.evaluator import metrics as recbole_metrics
from recbole.evaluator.collector import DataStruct

from recbole_longinterest.experiments.comparison.protocol import METRICS, beyond_accuracy, metric_of, rank_targets
from recbole_longinterest.plugin.fixes.collector import hits_of

N = 30
CONFIG: dict[str, Any] = {"topk": [1, 5, 10], "metric_decimal_place": 15, "tail_ratio": 0.2, "ITEM_ID_FIELD": "item_id"}


def random_batch(rows: int = 200, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(rows, N, generator=generator)
    scores[:, 0] = -torch.inf
    target = torch.randint(1, N, (rows,), generator=generator)
    return scores, target, torch.randint(0, N, (rows, 7), generator=generator)


def test_ranks_are_those_of_a_loop_over_items() -> None:
    scores, target, history = random_batch()
    scores = (scores * 3).round() / 3  # many ties
    scores[:, 0] = torch.inf  # the padding counts for nothing
    cold = torch.arange(N) % 4 == 1
    ranks = rank_targets(scores, target, history, cold, 5)
    for row in range(len(target)):
        own, wanted, seen = int(target[row]), float(scores[row, target[row]]), set(history[row].tolist())
        others = [(item, float(scores[row, item])) for item in range(1, N) if item != own]

        def place(among: list[float], wanted: float = wanted) -> float:
            return 1 + sum(score > wanted for score in among) + 0.5 * sum(score == wanted for score in among)

        assert ranks.native[row] == place([score for _, score in others])
        assert ranks.masked[row] == place([score for item, score in others if item not in seen])
        expected = place([score for item, score in others if cold[item]]) if cold[own] else np.nan
        np.testing.assert_equal(ranks.among_cold[row], expected)
        assert ranks.tied[row] == any(score == wanted for _, score in others)


def test_a_seen_target_is_ranked_and_other_seen_items_are_not() -> None:
    scores = torch.tensor([[9.0, 1.0, 4.0, 3.0, 2.0]])
    ranks = rank_targets(scores, torch.tensor([3]), torch.tensor([[3, 2, 2, 0]]), torch.zeros(5, dtype=torch.bool), 2)
    assert (ranks.native[0], ranks.masked[0]) == (2, 1)
    assert ranks.native_top.tolist() == [[2, 3]] and ranks.masked_top.tolist() == [[3, 4]]


def test_only_candidates_are_ranked() -> None:
    scores = torch.tensor([[0.0, -torch.inf, 4.0, 3.0, 2.0]])
    candidates = torch.tensor([[False, False, False, False, True]])
    ranks = rank_targets(
        scores, torch.tensor([3]), torch.zeros(1, 1, dtype=torch.int64), torch.zeros(5).bool(), 2, candidates
    )
    assert ranks.native[0] == 1 and ranks.native_top.tolist() == [[3, 4]]


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_are_refused(score: float) -> None:
    scores, target, history = random_batch(3)
    scores[1, 4] = score
    with pytest.raises(ValueError, match="1 scores are not finite"):
        rank_targets(scores, target, history, torch.zeros(N, dtype=torch.bool), 5)


def test_metrics_are_recboles_to_the_last_digit() -> None:
    scores, target, history = random_batch()
    ranks = rank_targets(scores, target, history, torch.zeros(N, dtype=torch.bool), 10)
    struct = DataStruct()
    struct.set("rec.topk", hits_of(scores.topk(10).indices, torch.arange(len(target)), target, N))
    for name, kind in zip(METRICS, ("NDCG", "Recall", "MRR", "Hit", "Precision"), strict=True):
        expected = getattr(recbole_metrics, kind)(CONFIG).calculate_metric(struct)
        for k in CONFIG["topk"]:
            assert metric_of(name, ranks.native, k).mean() == pytest.approx(expected[f"{name}@{k}"], abs=1e-14)


@pytest.mark.parametrize("tail", [0.2, 3])
def test_lists_are_described_as_recbole_does(tail: float) -> None:
    rng = np.random.default_rng(0)
    top = np.stack([rng.permutation(np.arange(1, N))[:10] for _ in range(50)])
    top[:, 0] = 3  # some concentration
    count = rng.integers(0, 6, N)
    count[0] = 0
    struct = DataStruct()
    struct.set("rec.items", torch.as_tensor(top))
    struct.set("data.num_items", N)
    struct.set("data.count_items", Counter({item: int(number) for item, number in enumerate(count) if number}))
    own = beyond_accuracy(top, count, CONFIG["topk"], tail)
    for kind in ("ItemCoverage", "GiniIndex", "AveragePopularity", "TailPercentage"):
        expected = getattr(recbole_metrics, kind)({**CONFIG, "tail_ratio": tail}).calculate_metric(struct)
        for name, value in expected.items():
            assert own[name] == pytest.approx(value, abs=1e-12), name


def test_lists_that_end_early_count_what_they_have() -> None:
    top, count = np.array([[1, 2, 0], [1, 0, 0]]), np.array([0, 4, 1, 0, 0])
    values = beyond_accuracy(top, count, [1, 3], 0.5)
    assert values["itemcoverage@3"] == 2 / 5 and values["averagepopularity@3"] == (4 + 1 + 4) / 3
    assert values["tailpercentage@3"] == pytest.approx(1 / 3)
    assert values["itemcoverage@1"] == beyond_accuracy(top[:, :1], count, [1], 0.5)["itemcoverage@1"]
    assert set(beyond_accuracy(np.zeros((2, 3), dtype=np.int64), count, [3]).values()) == {0.0}
