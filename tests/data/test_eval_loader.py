"""Evaluation batches bounded by events and scores give RecBole's results."""

from collections.abc import Callable
from typing import Any

import pytest
import recbole.data.utils
import torch
from recbole.config import Config
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.utils import get_model, get_trainer

from recbole_longinterest.data import eval_loader
from recbole_longinterest.data.eval_loader import BoundedEvalDataLoader, plan_evaluation
from tests.conftest import synthetic_inter


def test_plan_covers_every_row_within_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval_loader, "EVENTS", 100)
    monkeypatch.setattr(eval_loader, "SCORES", 1000)
    length = torch.tensor([3, 9, 1, 40, 2, 2, 9000, 5, 5] + [1] * 30)
    plan = plan_evaluation(length, n_items=100, most_rows=64)
    assert sorted(torch.cat(plan).tolist()) == list(range(len(length)))
    assert [6] in [rows.tolist() for rows in plan]  # 9,000 events are a batch of their own
    for rows in plan:
        assert len(rows) <= 10
        assert len(rows) == 1 or len(rows) * int(length[rows].max()) <= 100
        assert int(length[rows].max()) <= 2 * int(length[rows].min())
    assert max(len(rows) for rows in plan_evaluation(length, 100, most_rows=4)) == 4
    assert plan_evaluation(length[:0], 100, 4) == []


def test_rows_of_equal_length_keep_their_order() -> None:
    assert [rows.tolist() for rows in plan_evaluation(torch.full((5,), 50), 100, most_rows=3)] == [[0, 1, 2], [3, 4]]


def test_results_equal_recboles_loader(small_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config(synthetic_inter(events=30))
    train, valid, test = recbole.data.utils.data_preparation(config, recbole.data.utils.create_dataset(config))
    assert type(valid) is BoundedEvalDataLoader
    model = get_model("LongInterest")(config, train._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], "LongInterest")(config, model)
    expected = trainer.evaluate(FullSortEvalDataLoader(config, test._dataset, None), load_best_model=False)
    monkeypatch.setattr(eval_loader, "EVENTS", 60)
    bounded = BoundedEvalDataLoader(config, test._dataset, None)
    assert len(bounded) > 5 and sorted(bounded.order.tolist()) == list(range(len(test._dataset)))
    assert trainer.evaluate(bounded, load_best_model=False) == expected


def test_processes_share_the_rows_within_the_bounds(
    small_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(synthetic_inter(events=30), eval_batch_size=8)
    _, _, test = recbole.data.utils.create_dataset(config).build()
    config["single_spec"] = False
    monkeypatch.setattr(eval_loader.dist, "get_world_size", lambda: 2)
    orders = []
    for rank in (0, 1):
        monkeypatch.setattr(eval_loader.dist, "get_rank", lambda rank=rank: rank)
        loader = BoundedEvalDataLoader(config, test, None)
        orders.append(loader.order)
        batches = [len(batch[0]) for batch in loader]
        assert sum(batches) == len(loader.order) and max(batches) <= 4
    assert sorted(torch.cat(orders).tolist()) == list(range(len(test)))


def test_recboles_models_on_the_flat_log_are_bounded_too(small_config: Callable[..., Any]) -> None:
    from recbole_longinterest.training.settings import make_config

    long = small_config(synthetic_inter(events=30))
    settings = {"data_path": str(long["data_path"]).rsplit("/", 1)[0], "show_progress": False, "state": "ERROR"}
    settings |= {"load_col": {"inter": ["user_id", "item_id", "timestamp"]}}
    kinds = {}
    for lean in (True, False):
        config = make_config("GRU4Rec", "tiny", config_dict={**settings, "lean_sequences": lean})
        loaders = recbole.data.utils.data_preparation(config, recbole.data.utils.create_dataset(config))
        kinds[lean] = type(loaders[2])
    assert kinds == {True: BoundedEvalDataLoader, False: FullSortEvalDataLoader}


@pytest.mark.parametrize("model", ["GRU4Rec", "SASRec"])
def test_causal_models_pad_to_the_batch_and_score_alike(model: str, small_config: Callable[..., Any]) -> None:
    from recbole_longinterest.training.settings import make_config

    long = small_config(synthetic_inter(events=30))
    settings = {"data_path": str(long["data_path"]).rsplit("/", 1)[0], "show_progress": False, "state": "ERROR"}
    settings |= {"exact_order": True, "MAX_ITEM_LIST_LENGTH": 40, "loss_type": "CE"}
    results, widths = [], []
    for one_pass in (False, True):
        config = make_config(model, "tiny", config_dict={**settings, "one_pass": one_pass})
        train, _, test = recbole.data.utils.data_preparation(config, recbole.data.utils.create_dataset(config))
        torch.manual_seed(1)
        trainer = get_trainer(config["MODEL_TYPE"], model)(config, get_model(model)(config, train._dataset))
        widths.append({batch[0]["item_id_list"].shape[1] for batch in test})
        results.append(trainer.evaluate(test, load_best_model=False))
    assert widths[0] == {40} and max(widths[1]) < 40
    assert results[0] == results[1]


def test_padded_lengths_are_what_a_batch_takes(small_config: Callable[..., Config]) -> None:
    config = small_config(synthetic_inter(events=30))
    test = recbole.data.utils.create_dataset(config).build()[2]
    lengths = test.padded_lengths()
    batch = test[torch.arange(len(test))]
    assert torch.equal(lengths, batch["item_length"]) and batch["item_id_list"].shape[1] == int(lengths.max())
