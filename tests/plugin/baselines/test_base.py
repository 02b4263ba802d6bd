"""What every neural baseline holds: causality, one pass, padding, scores, gradients, learning, resume."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.quick_start import load_data_and_model, run_recbole
from recbole.utils import get_trainer

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.train_loader import OnePassDataLoader
from recbole_longinterest.plugin.one_pass import prefix_rows
from recbole_longinterest.training import pipeline
from tests.plugin.baselines.conftest import NEURAL, Built, chain

Build = Callable[..., Built]
FULL = {"eSASRec": {"loss_type": "CE"}, "HSTU": {"loss_type": "CE"}}  # losses without draws, where there is one


def counted(model: Any, window: Interaction) -> torch.Tensor:
    return window[model.TARGET_SEQ] > 0


@pytest.mark.parametrize("name", NEURAL)
def test_an_event_changes_no_output_before_it(build: Build, name: str) -> None:
    _, model, train, _, _ = build(name)
    model.eval()
    (window,) = list(train)
    before = model.forward(window)
    place = int(window[model.ITEM_SEQ_LEN].max()) // 2
    for field in (field for field in window.interaction if window[field].shape == window[model.ITEM_SEQ].shape):
        changed = window[field].clone()
        changed[:, place] = changed[:, place].roll(1, 0)
        different = (changed != window[field]).any(dim=1)
        after = model.forward(Interaction({**window.interaction, field: changed}))
        torch.testing.assert_close(before[:, :place], after[:, :place], rtol=0, atol=1e-6)
        if field == model.ITEM_SEQ:
            moved = (before[different, place:] - after[different, place:]).abs().amax(dim=(1, 2))
            assert len(moved) and (moved > 1e-4).all()


@pytest.mark.parametrize("name", NEURAL)
def test_outputs_of_a_window_are_those_of_its_prefix_rows(build: Build, name: str) -> None:
    _, model, train, _, _ = build(name)
    model.eval()
    assert isinstance(train, OnePassDataLoader)
    (window,) = list(train)
    rows = prefix_rows(window, model, model.TARGET_SEQ, model.max_seq_length)
    last = model.gather_indexes(model.forward(rows), rows[model.ITEM_SEQ_LEN] - 1)
    torch.testing.assert_close(model.forward(window)[counted(model, window)], last, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in NEURAL if name in FULL or name == "LRURec"])
def test_the_loss_over_a_window_and_its_gradients_are_those_of_its_prefix_rows(build: Build, name: str) -> None:
    _, model, train, _, _ = build(name, **FULL.get(name, {}))
    model.eval()
    (window,) = list(train)
    results = []
    for batch in (window, prefix_rows(window, model, model.TARGET_SEQ, model.max_seq_length)):
        model.zero_grad()
        loss = model.calculate_loss(batch)
        loss.backward()
        results.append((loss.item(), [weights.grad.clone() for weights in model.parameters()]))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    for ours, theirs in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", NEURAL)
def test_more_padding_changes_nothing_and_a_batch_is_its_rows(build: Build, name: str) -> None:
    _, model, _, _, test = build(name)
    model.eval()
    batch = next(iter(test))[0]
    whole = model.full_sort_predict(batch)
    more = model.max_seq_length - batch[model.ITEM_SEQ].shape[1]
    assert more > 0
    padded = {
        field: torch.nn.functional.pad(value, (0, more)) if value.dim() > 1 else value
        for field, value in batch.interaction.items()
    }
    torch.testing.assert_close(model.full_sort_predict(Interaction(padded)), whole, rtol=1e-4, atol=1e-5)
    single = torch.cat([model.full_sort_predict(batch[[row]]) for row in range(len(batch))])
    torch.testing.assert_close(single, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NEURAL)
def test_predict_is_its_column_of_full_sort_predict(build: Build, name: str) -> None:
    _, model, _, _, test = build(name)
    model.eval()
    batch = next(iter(test))[0]
    scores = model.full_sort_predict(batch)
    assert scores.shape == (len(batch), model.n_items)
    torch.testing.assert_close(model.predict(batch), scores.gather(1, batch["item_id"].unsqueeze(1)).squeeze(1))


@pytest.mark.parametrize("name", NEURAL)
def test_every_parameter_gets_a_gradient(build: Build, name: str) -> None:
    _, model, train, _, _ = build(name)
    if name == "LRURec":
        torch.nn.init.zeros_(model.item_bias)
    model.calculate_loss(next(iter(train))).backward()
    for field, weights in model.named_parameters():
        assert weights.grad is not None and weights.grad.abs().sum() > 0, field
    assert model.item_embedding.weight.grad[0].abs().sum() == 0  # the padding


@pytest.mark.parametrize("name", NEURAL)
def test_a_planted_order_is_learned_and_a_shuffled_one_is_not(
    baseline_config: Callable[..., Any], name: str, tmp_path: Path
) -> None:
    found = {}
    for shuffled in (False, True):
        settings = {"epochs": 40, "learning_rate": 0.01, "train_batch_size": 64, "hidden_size": 16, "topk": [1]}
        settings |= {"valid_metric": "Recall@1", "metrics": ["Recall"], "stopping_step": 40, "eval_step": 10}
        config = baseline_config(name, chain(shuffled), **settings)
        trained = pipeline.train(config, saved=False)
        found[shuffled] = trained.trainer.evaluate(trained.test_data, load_best_model=False)["recall@1"]
    assert found[False] > 0.9
    assert found[True] < 0.35


@pytest.mark.parametrize("name", NEURAL)
def test_a_resumed_run_is_an_unbroken_one(
    baseline_config: Callable[..., Any], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for epochs in ([2], [1, 2]):
        for number in epochs:
            folder = str(tmp_path / str(len(epochs)))
            settings = {"train_batch_size": 32, "weight_averaging": 0.9, "hidden_dropout_prob": 0.2}
            config = baseline_config(name, epochs=number, resume=True, checkpoint_dir=folder, **settings)
            trained = pipeline.train(config)
        results.append({field: value.clone() for field, value in trained.trainer.model.state_dict().items()})
    for field, value in results[0].items():
        assert torch.equal(value, results[1][field]), field


@pytest.mark.parametrize("name", NEURAL)
def test_a_checkpoint_is_loaded_with_its_data_and_scores_the_same(
    baseline_config: Callable[..., Any], name: str, tmp_path: Path
) -> None:
    done = pipeline.run(baseline_config(name, checkpoint_dir=str(tmp_path), metric_decimal_place=12))
    config, model, _, _, _, test = load_data_and_model(done.checkpoint, data_path=str(tmp_path / "data"))
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    assert trainer.evaluate(test, load_best_model=False) == done.test_result
    assert type(model).__name__ == name


@pytest.mark.parametrize("name", NEURAL)
def test_recboles_own_run_recbole_takes_it(baseline_config: Callable[..., Any], name: str) -> None:
    made = baseline_config(name)
    own = {key: made[key] for key in ("hidden_size", "epochs", "show_progress", "state")}
    path = str(Path(made["data_path"]).parent)
    result = run_recbole(model=name, dataset="tiny", config_dict={**own, "data_path": path}, saved=False)
    assert 0 <= result["test_result"]["ndcg@10"] <= 1


@pytest.mark.parametrize("name", NEURAL)
def test_rows_of_recboles_own_data_set_train_it(build: Build, name: str) -> None:
    _, model, train, _, _ = build(name, one_pass=False, exact_order=None)
    assert not isinstance(train, OnePassDataLoader)
    loss = model.calculate_loss(next(iter(train)))
    assert loss.dim() == 0 and torch.isfinite(loss)


def test_options_out_of_range_are_refused_in_one_message(build: Build) -> None:
    message = (
        r"gSASRec: hidden_size must be a whole number of at least 1; got 0\. .*"
        r"loss_type must be one of gBCE; got 'BPR'\. .*hidden_act must be one of gelu, .*; got 'step'\. "
        r"negatives must be .*; got -1\. .*shared_negatives must be on or off; got 'maybe'\. "
        r"calibration must be a number from 0 to 1; got 2\. properties/gSASRec\.yaml says what each means\."
    )
    wrong = {"hidden_size": 0, "loss_type": "BPR", "hidden_act": "step", "negatives": -1, "calibration": 2}
    with pytest.raises(LongInterestError, match=message):
        build("gSASRec", shared_negatives="maybe", one_pass=False, **wrong)
    with pytest.raises(LongInterestError, match=r"n_heads must divide hidden_size \(8\); got 3\."):
        build("eSASRec", n_heads=3)
    with pytest.raises(LongInterestError, match=r"temperature must be a number above 0; got 0\."):
        build("HSTU", temperature=0)
    with pytest.raises(LongInterestError, match=r"greatest_radius must be a number above 0 and below 1; got 1\."):
        build("LRURec", greatest_radius=1)
    with pytest.raises(LongInterestError, match=r"hidden_dropout_prob must be a number of at least 0 and below 1"):
        build("LRURec", hidden_dropout_prob=1)


def test_one_pass_that_is_asked_for_and_impossible_is_refused(build: Build) -> None:
    with pytest.raises(LongInterestError, match="one_pass: True needs loss_type: CE"):
        build("eSASRec", one_pass=True, loss_type="BPR")
