"""The average of the weights over the steps: by its formula, evaluated, kept, and gone on with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed
from torch import nn

from recbole_longinterest.cli import main
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.plugin.runs.averaging import WeightAverage
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import check_values, make_config
from tests.conftest import synthetic_inter

SETTINGS: dict[str, Any] = {
    "embedding_size": 8,
    "hidden_size": 8,
    "epochs": 2,
    "train_batch_size": 64,
    "show_progress": False,
    "state": "ERROR",
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
}


def test_the_formula() -> None:
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    start = layer.weight.detach().clone()
    average = WeightAverage(layer, 0.15)
    expected = start.clone()
    generator = torch.Generator().manual_seed(1)
    for decay in (1 / 10, 0.15, 0.15):  # (1 + n) / (10 + n) is 2 / 11 at the second step
        with torch.no_grad():
            layer.weight.copy_(torch.randn(2, 3, generator=generator))
        average.take_in()
        expected = decay * expected + (1 - decay) * layer.weight.detach()
    last, bias = layer.weight.detach().clone(), layer.bias.clone()
    average.swap()
    torch.testing.assert_close(layer.weight.detach(), expected)
    assert torch.equal(layer.bias, bias)
    average.swap()
    assert torch.equal(layer.weight, last)


def test_what_is_copied_into_frozen_weights_stays() -> None:
    """RecVAE's prior, made anew of the encoder between two parts of an epoch."""
    model = nn.ModuleDict({"encoder": nn.Linear(1, 1), "prior": nn.Linear(1, 1)})
    model["prior"].requires_grad_(False)
    average = WeightAverage(model, 0.9)
    average.swap()
    with torch.no_grad():
        model["prior"].weight.fill_(7.0)
    average.swap()
    assert float(model["prior"].weight) == 7.0


@pytest.fixture
def config(write_dataset: Callable[..., Path]) -> Callable[..., Any]:
    root = write_dataset("tiny", synthetic_inter())

    def make(**more: Any) -> Any:
        with command_line([]):
            return make_config("GRU4Rec", "tiny", config_dict={**SETTINGS, "data_path": str(root), **more})

    return make


def test_the_checkpoint_holds_the_average_and_training_is_not_changed_by_it(config: Callable[..., Any]) -> None:
    """By hand: the optimizer's weights after every step of a run without averaging."""
    settings = config(weight_averaging=0.8)
    averaged = pipeline.run(settings)
    plain = config()
    init_seed(plain["seed"], plain["reproducibility"])
    train_data, valid_data, _ = data_preparation(plain, create_dataset(plain))
    init_seed(plain["seed"] + plain["local_rank"], plain["reproducibility"])
    model = get_model("GRU4Rec")(plain, train_data._dataset)
    trainer = get_trainer(plain["MODEL_TYPE"], "GRU4Rec")(plain, model)
    steps: list[list[torch.Tensor]] = [[weight.detach().clone() for weight in model.parameters()]]
    trainer.optimizer.register_step_post_hook(
        lambda *_: steps.append([weight.detach().clone() for weight in model.parameters()])
    )
    trainer.fit(train_data, valid_data, saved=False, verbose=False)
    expected = steps[0]
    for number, weights in enumerate(steps[1:]):
        decay = min(0.8, (1 + number) / (10 + number))
        expected = [decay * mean + (1 - decay) * weight for mean, weight in zip(expected, weights, strict=True)]
    last = load_checkpoint(f"{averaged.checkpoint}.last")
    kept = [last["state_dict"][name] for name, _ in model.named_parameters()]
    assert last["epoch"] == 1 and len(steps) > 4
    for mine, mean, weight in zip(kept, expected, steps[-1], strict=True):
        torch.testing.assert_close(mine, mean)
        assert not torch.equal(mine, weight)
    for mine, weight in zip(last["run"]["average"]["weights"], steps[-1], strict=True):
        assert torch.equal(mine, weight)


def test_longinterest_averages_by_its_own_default(small_config: Callable[..., Any]) -> None:
    averaged, plain = (pipeline.run(small_config(epochs=2, **more)) for more in ({}, {"weight_averaging": 0}))
    with_average, without = (load_checkpoint(f"{run.checkpoint}.last") for run in (averaged, plain))
    assert without["run"]["average"] is None
    weights = with_average["run"]["average"]["weights"]
    held = list(without["state_dict"].values())  # the optimizer moved the same weights in both
    assert len(weights) > 5 and all(any(torch.equal(weight, value) for value in held) for weight in weights)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weight_averaging=1"], "weight_averaging must be a number of at least 0 and below 1; got 1"),
        (["--weight_averaging=much"], "got 'much'"),
    ],
)
def test_what_cannot_be(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["run", "--dataset=ml-100k", "--epochs=1", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_model_with_an_epoch_of_its_own(config: Callable[..., Any]) -> None:
    settings = config(weight_averaging=0.9)
    settings["model"] = "NCL"
    with pytest.raises(ValueError, match="NCL has its own training loop, without weight_averaging"):
        check_values(settings)
