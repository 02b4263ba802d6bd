"""Evaluation batches bounded by events and scores give RecBole's results."""

from collections.abc import Callable
from typing import Any

import pytest
import recbole.data.utils
import torch
from recbole.config import Config
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.utils import get_model, get_trainer

from recbole_longinterest.data import evaluation
from recbole_longinterest.data.evaluation import BoundedEvalDataLoader, plan_evaluation
from tests.conftest import synthetic_inter


def test_plan_covers_every_row_in_order_within_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "EVENTS", 100)
    monkeypatch.setattr(evaluation, "SCORES", 1000)
    length = [3, 9, 1, 40, 2, 2, 9000, 5, 5] + [1] * 30
    plan = plan_evaluation(length, n_items=100, most_rows=64)
    assert [row for rows in plan for row in rows] == list(range(len(length)))
    assert range(6, 7) in plan  # 9,000 events are a batch of their own
    for rows in plan:
        assert len(rows) <= 10
        assert len(rows) == 1 or len(rows) * max(length[row] for row in rows) <= 100
    assert max(len(rows) for rows in plan_evaluation(length, 100, most_rows=4)) == 4
    assert plan_evaluation([], 100, 4) == []


def test_results_equal_recboles_loader(small_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config(synthetic_inter(events=30))
    train, valid, test = recbole.data.utils.data_preparation(config, recbole.data.utils.create_dataset(config))
    assert type(valid) is BoundedEvalDataLoader and len(valid) == 1
    model = get_model("LongInterest")(config, train._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], "LongInterest")(config, model)
    expected = trainer.evaluate(FullSortEvalDataLoader(config, test._dataset, None), load_best_model=False)
    monkeypatch.setattr(evaluation, "EVENTS", 60)
    bounded = BoundedEvalDataLoader(config, test._dataset, None)
    assert len(bounded) > 5
    assert trainer.evaluate(bounded, load_best_model=False) == expected


def test_recboles_models_on_the_flat_log_are_bounded_too(small_config: Callable[..., Any]) -> None:
    from recbole_longinterest import quick_start

    long = small_config(synthetic_inter(events=30))
    settings = {"data_path": str(long["data_path"]).rsplit("/", 1)[0], "show_progress": False, "state": "ERROR"}
    settings |= {"load_col": {"inter": ["user_id", "item_id", "timestamp"]}}
    kinds = {}
    for lean in (True, False):
        config = quick_start.make_config("GRU4Rec", "tiny", config_dict={**settings, "lean_sequences": lean})
        loaders = recbole.data.utils.data_preparation(config, recbole.data.utils.create_dataset(config))
        kinds[lean] = type(loaders[2])
    assert kinds == {True: BoundedEvalDataLoader, False: FullSortEvalDataLoader}


def test_padded_lengths_are_what_a_batch_takes(small_config: Callable[..., Config]) -> None:
    config = small_config(synthetic_inter(events=30))
    test = recbole.data.utils.create_dataset(config).build()[2]
    lengths = test.padded_lengths()
    batch = test[torch.arange(len(test))]
    assert torch.equal(lengths, batch["item_length"]) and batch["item_id_list"].shape[1] == int(lengths.max())
