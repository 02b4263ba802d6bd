"""Hits from the recommended items alone equal RecBole's look-up in a matrix of all scores."""

from typing import Any

import pytest
import torch
from recbole.evaluator import Collector
from recbole.evaluator.collector import DataStruct

import recbole_longinterest  # noqa: F401 - registers
from recbole_longinterest.plugin.fixes.collector import hits_of


def recboles_result(scores: torch.Tensor, positive_u: torch.Tensor, positive_i: torch.Tensor, k: int) -> torch.Tensor:
    """As RecBole 1.2.1 has it (evaluator/collector.py, "rec.topk")."""
    top = torch.topk(scores, k, dim=-1).indices
    matrix = torch.zeros_like(scores, dtype=torch.int)
    matrix[positive_u, positive_i] = 1
    return torch.cat((torch.gather(matrix, 1, top), matrix.sum(dim=1, keepdim=True)), dim=1)


@pytest.mark.parametrize("positives", [1, 3])
def test_equals_recboles(positives: int) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 20, (50, 40), generator=generator).float()  # many ties
    positive_u = torch.arange(50).repeat_interleave(positives)
    positive_i = torch.randint(1, 40, (50 * positives,), generator=generator)  # some pairs twice
    expected = recboles_result(scores, positive_u, positive_i, 10)
    got = hits_of(torch.topk(scores, 10).indices, positive_u, positive_i, 40)
    assert got.dtype == torch.int32
    assert torch.equal(got.long(), expected.long())


def test_rows_without_positives_have_none() -> None:
    got = hits_of(torch.tensor([[1, 2], [3, 4]]), torch.tensor([1]), torch.tensor([4]), 5)
    assert got.tolist() == [[0, 0, 0], [0, 1, 1]]


@pytest.mark.parametrize("metrics", [["Recall", "NDCG"], ["Recall", "ItemCoverage"], ["Recall", "GAUC"]])
def test_collects_what_each_metric_needs(metrics: list[str]) -> None:
    config: dict[str, Any] = {"metrics": metrics, "topk": [5], "device": "cpu", "eval_args": {"mode": {"test": "full"}}}
    collector = Collector(config)
    scores = torch.randn(8, 30, generator=torch.Generator().manual_seed(0))
    rows, items = torch.arange(8), torch.arange(8) + 1
    collector.eval_batch_collect(scores, None, rows, items)
    struct: DataStruct = collector.data_struct
    assert torch.equal(struct.get("rec.topk").long(), recboles_result(scores, rows, items, 5).long())
    if "ItemCoverage" in metrics:
        assert torch.equal(struct.get("rec.items"), torch.topk(scores, 5).indices)
    if "GAUC" in metrics:
        assert struct.get("rec.meanrank").shape == (8, 3)
