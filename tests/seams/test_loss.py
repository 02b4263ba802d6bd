"""A loss from a file of its own holds what the built-in ones hold."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from recbole.config import Config
from torch import Tensor
from torch.nn import functional

from recbole_longinterest.nn.losses import LOSSES, Loss, LossBatch, register_loss
from tests.contracts import check_causality, check_contracts, check_served

# --- losses in one file ----------------------------------------------------------------------------------------------


class SmoothedCrossEntropy(Loss):
    """Cross entropy with label smoothing over the whole catalogue; takes windows."""

    def __call__(self, batch: LossBatch) -> Tensor:
        scores = batch.interest @ batch.items[1:].T
        return functional.cross_entropy(scores, batch.target - 1, label_smoothing=0.1)


class Hinge(Loss):
    """The target must win by 1 over a drawn item; one target a row."""

    negatives: ClassVar[bool] = True
    windows: ClassVar[bool] = False

    def __call__(self, batch: LossBatch) -> Tensor:
        assert batch.losing is not None
        return torch.relu(1 - batch.scores(batch.target) + batch.scores(batch.losing)).mean()


@pytest.fixture
def own_losses() -> Any:
    register_loss("Smoothed", SmoothedCrossEntropy)
    register_loss("Hinge", Hinge)
    yield
    LOSSES.remove("Smoothed")
    LOSSES.remove("Hinge")


# --- what they hold --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("own_losses")
def test_a_loss_of_ones_own_over_windows(small_config: Callable[..., Config], tmp_path: Path) -> None:
    settings = {"loss_type": "Smoothed", "repeat_bias": "off"}
    config = small_config(**settings)
    assert config["train_neg_sample_args"]["distribution"] == "none"
    check_contracts(small_config, tmp_path / "model", **settings)


@pytest.mark.usefixtures("own_losses")
def test_a_loss_of_ones_own_over_drawn_items(small_config: Callable[..., Config], tmp_path: Path) -> None:
    assert small_config(loss_type="Hinge")["train_neg_sample_args"]["distribution"] == "uniform"
    check_causality(small_config, loss_type="Hinge")
    check_served(small_config, tmp_path / "model", loss_type="Hinge")


@pytest.mark.parametrize("settings", [{"loss_type": "CE"}, {"loss_type": "sampled_softmax", "sampled_softmax": 10**6}])
def test_the_built_in_losses_over_windows(
    small_config: Callable[..., Config], tmp_path: Path, settings: dict[str, Any]
) -> None:
    check_contracts(small_config, tmp_path / "model", **settings)


def test_bpr(small_config: Callable[..., Config], tmp_path: Path) -> None:
    check_served(small_config, tmp_path / "model", loss_type="BPR")


def test_losses_that_are_not_there_or_not_whole(small_config: Callable[..., Config]) -> None:
    from recbole_longinterest.nn.options import ModelOptions

    with pytest.raises(ValueError, match="loss_type must be one of CE, BPR, sampled_softmax; got 'Hinge'"):
        ModelOptions.from_config(small_config(loss_type="Hinge"))
    with pytest.raises(ValueError, match="loss_type: sampled_softmax needs sampled_softmax, the number of items drawn"):
        ModelOptions.from_config(small_config(loss_type="sampled_softmax"))
