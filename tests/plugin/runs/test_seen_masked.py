"""Ranks without the seen items, from one comparison of all scores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recbole.data import create_dataset, data_preparation

from recbole_longinterest.experiments.comparison.protocol import rank_targets
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.plugin.runs import seen_masked
from recbole_longinterest.plugin.runs.seen_masked import MaskedPass, masked_ranks, seen_pairs
from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter


@pytest.mark.parametrize(("dtype", "cached"), [(torch.float32, 1), (torch.float32, 75), (torch.float64, 10**6)])
def test_the_ranks_are_those_of_the_test(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, cached: int) -> None:
    """Against the ranks that mask every item, with ties, repeats, and targets that the user has had."""
    monkeypatch.setattr(seen_masked, "CACHED", cached)  # one, three and all rows at once
    generator = torch.Generator().manual_seed(3)
    scores = torch.randint(0, 6, (40, 25), generator=generator).to(dtype)
    scores[:, 0] = -torch.inf
    target = torch.randint(1, 25, (40,), generator=generator)
    history = torch.randint(0, 25, (40, 30), generator=generator)
    expected = rank_targets(scores, target, history, torch.zeros(25, dtype=torch.bool), 3).masked
    pairs = torch.unique((torch.arange(40).unsqueeze(1) * 25 + history)[history > 0])
    found = masked_ranks(scores, target, pairs // 25, pairs % 25)
    assert np.array_equal(found.numpy(), expected)


def test_a_score_that_is_no_number_stands_above_every_target() -> None:
    scores = torch.tensor([[-torch.inf, 1.0, torch.nan, 0.5], [-torch.inf, torch.nan, 1.0, 0.5]])
    none = torch.zeros(0, dtype=torch.int64)
    assert masked_ranks(scores, torch.tensor([1, 1]), none, none)[0] == 2
    assert masked_ranks(scores, torch.tensor([1, 1]), none, none)[1] > 3


@pytest.fixture
def parts(write_dataset: Callable[..., Path]) -> Callable[..., tuple[Any, Any]]:
    root = write_dataset("tiny", synthetic_inter())

    def make(model: str = "GRU4Rec", **more: Any) -> tuple[Any, Any]:
        with command_line([]):
            settings = {"data_path": str(root), "show_progress": False, "state": "ERROR", **more}
            settings |= {"exact_order": True} if model != "BPR" else {}
            settings["load_col"] = {"inter": ["user_id", "item_id", "timestamp"]}
            config = make_config(model, "tiny", config_dict=settings)
        return config, data_preparation(config, create_dataset(config))

    return make


def test_pairs_are_the_distinct_items_of_the_whole_history(parts: Callable[..., tuple[Any, Any]]) -> None:
    _, (_, valid, _) = parts(MAX_ITEM_LIST_LENGTH=2)
    part = valid._dataset
    rows, log = part.inter_feat, part.event_log[part.item_seq_field]
    row, item = seen_pairs(rows, log, part.item_num)
    for place in range(len(rows)):
        begin, end = int(rows.history_start()[place]), int(rows.position[place])
        assert item[row == place].tolist() == sorted(set(log[begin:end].tolist()))


def test_histories_are_needed(parts: Callable[..., tuple[Any, Any]]) -> None:
    _, (_, valid, _) = parts("BPR")
    with pytest.raises(ValueError, match="needs the histories of the flat log, which this model's data do not have"):
        MaskedPass(valid)
