"""The lift that an export finds on the validation part."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from recbole_longinterest.nn.state_keys import MEMORY, TRAINED
from recbole_longinterest.serving.lift import FOUND, LIFT, found_lift
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.training import lift, pipeline
from recbole_longinterest.training.export import export_checkpoint
from tests.conftest import synthetic_inter, synthetic_item


@pytest.fixture
def made(small_config: Callable[..., Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Recommender, Any]:
    """A model of sixty users, and its validation part."""
    monkeypatch.setattr(lift, "LEAST", 20)
    trained = pipeline.train(small_config(epochs=3, inter=synthetic_inter(60, 40), item=synthetic_item(40)))
    served = export_checkpoint(trained.trainer.saved_model_file, tmp_path / "model")
    return Recommender(served), trained.valid_data._dataset


def test_an_export_has_it(made: tuple[Recommender, Any]) -> None:
    found = made[0].served.about[FOUND]
    assert 0 <= found["lift"] <= lift.HIGHEST and 0 <= found["cost"] <= lift.COST
    assert found["events"] >= 20 and found["items"] >= 1
    assert found_lift(made[0].served.about) == found["lift"] and LIFT not in made[0].served.about


def test_items_treated_as_new_are_like_added_ones(made: tuple[Recommender, Any]) -> None:
    weights = made[0].served.weights
    new = lift._treated_as_new(weights, np.random.default_rng(0))
    assert len(new) == int(lift.SHARE * int(weights[TRAINED][1:].sum())) and weights[TRAINED][new].all()
    without = lift._without(weights, new)
    assert not without[TRAINED][new].any() and weights[TRAINED][new].all()
    others = torch.ones(len(weights[TRAINED]), dtype=torch.bool).index_fill(0, new, value=False)
    assert torch.equal(without[TRAINED][others], weights[TRAINED][others])
    occurred = without[f"{MEMORY}occurrences"] > 0  # borrowed transitions have none
    assert not occurred[new].any()
    assert not torch.isin(without[f"{MEMORY}followers"][occurred], new.to(torch.int32)).any()


def test_a_checkpoint_of_a_version_without_occurrences_has_the_same(made: tuple[Recommender, Any]) -> None:
    served, valid = made[0].served, made[1]
    old = {name: value for name, value in served.weights.items() if name != f"{MEMORY}occurrences"}
    assert lift.calibrate_lift(replace(served, weights=old), valid) == served.about[FOUND]


def test_the_cost_is_that_of_ranking_with_the_lift(made: tuple[Recommender, Any]) -> None:
    """Against the served scores of the model without these items, one lift at a time."""
    model, valid = made
    new = lift._treated_as_new(model.served.weights, np.random.default_rng(0))
    network_of = replace(model.served, weights=lift._without(model.served.weights, new))
    rows = np.arange(len(valid))
    lifts = torch.tensor([0.0, 1.0, 4.0])
    network = network_of.network()
    found = lift._gains(network, network.item_vectors(), valid, rows, new, lifts)
    batch = valid[torch.from_numpy(rows)]
    target = batch[valid.iid_field]
    for column, value in enumerate(lifts.tolist()):
        served = replace(network_of, about={**model.served.about, LIFT: value})
        one = Recommender(served)
        gains = []
        for row in range(len(rows)):
            if target[row] in new:
                continue
            number = int(batch[valid.item_list_length_field][row])
            items = batch[valid.item_seq_field][row : row + 1, :number]
            values = {name: batch[valid.side_fields[name]][row : row + 1, :number] for name in one.sides}
            levels = one.network.levels_of(values)
            interest = one.network.interest_after(items, torch.tensor([number]), levels, one.items)
            recent = torch.zeros(1, 10, dtype=torch.int64)
            recent[0, : min(10, number)] = items[0].flip(0)[:10]
            scores = one.scores_of(interest, [items[0].tolist()], recent)[0]
            rank = 1 + int((scores[1:] > scores[target[row]]).sum())
            gains.append(1 / np.log2(rank + 1) if rank <= 10 else 0.0)
        assert found[:, column].tolist() == pytest.approx(gains, abs=1e-6)


def test_without_texts_or_events_there_is_none(
    small_config: Callable[..., Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = pipeline.run(small_config(epochs=1))
    assert run.checkpoint is not None
    assert FOUND not in export_checkpoint(run.checkpoint, tmp_path / "few").about  # too few validation events
    monkeypatch.setattr(lift, "LEAST", 5)
    run = pipeline.run(small_config(epochs=1, text_features=False))
    assert run.checkpoint is not None
    assert FOUND not in export_checkpoint(run.checkpoint, tmp_path / "no-text").about
