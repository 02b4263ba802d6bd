"""One pass over RecBole's own causal models: equal to prefix rows, and refused where it would not be."""

from collections.abc import Callable
from typing import Any

import pytest
import recbole.data.utils
import torch
from recbole.utils import get_model, init_seed

from recbole_longinterest.data.train_loader import OnePassDataLoader
from recbole_longinterest.plugin.one_pass import OnePassLoss
from tests.data.test_flat_dataset import model_config, sequential_models  # noqa: F401 - a fixture

CAUSAL = ["GRU4Rec", "GRU4RecF", "GRU4RecKG", "SASRec", "SASRecF", "FDSA"]
REFUSED = {
    "BERT4Rec": "reads 'Mask_item_id_list', which windows do not have|cannot train in one pass",
    "CORE": "does not read the last output by gather_indexes",
    "Caser": "reads 'user_id', which windows do not have",
    "FEARec": "cannot train in one pass",
    "FOSSIL": "reads 'user_id', which windows do not have",
    "GCSAN": "changes with the event there",
    "GRU4RecCPR": "does not read the last output by gather_indexes",
    "HGN": "reads 'user_id', which windows do not have",
    "HRM": "reads 'user_id', which windows do not have",
    "KSR": "cannot train in one pass",
    "LightSANs": "changes with the event there",
    "NARM": "cannot train in one pass",
    "NPE": "reads 'user_id', which windows do not have",
    "NextItNet": "does not read the last output by gather_indexes",
    "RepeatNet": "cannot train in one pass",
    "S3Rec": "does not read the last output by gather_indexes",
    "SASRecCPR": "does not read the last output by gather_indexes",
    "SHAN": "reads 'user_id', which windows do not have",
    "SINE": "cannot train in one pass",
    "SRGNN": "changes with the event there",
    "STAMP": "cannot train in one pass",
}
NO_CROSS_ENTROPY = ["DIEN", "DIN", "FPMC", "TransRec"]


def test_every_sequential_model_is_one_of_these() -> None:
    assert sorted([*CAUSAL, *REFUSED, *NO_CROSS_ENTROPY]) == sequential_models()


def build(config: Any) -> tuple[Any, Any]:
    init_seed(config["seed"], True)
    train = recbole.data.utils.data_preparation(config, recbole.data.utils.create_dataset(config))[0]
    init_seed(config["seed"], True)
    return get_model(config["model"])(config, train._dataset), train


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CAUSAL)
def test_loss_and_gradients_equal_prefix_rows(model_config: Callable[..., Any], name: str) -> None:  # noqa: F811
    settings = {"train_batch_size": 10**6, "MAX_ITEM_LIST_LENGTH": 20}  # every history inside the window, one batch
    model, train = build(model_config(name, one_pass=True, **settings))
    assert isinstance(train, OnePassDataLoader)
    loss_of = OnePassLoss(model, train.target_list_field, train.probe())
    other, rows = build(model_config(name, lean_sequences=True, **settings))
    model.double(), other.double()
    model.eval(), other.eval()  # dropout off
    ((windows,), (prefixes,)) = list(train), list(rows)
    loss, expected = loss_of(windows), other.calculate_loss(prefixes)
    assert torch.allclose(loss, expected, rtol=1e-5)
    loss.backward(), expected.backward()
    for (field, parameter), (_, expected_parameter) in zip(
        model.named_parameters(), other.named_parameters(), strict=True
    ):
        if expected_parameter.grad is None:
            assert parameter.grad is None, field
        else:
            assert torch.allclose(parameter.grad, expected_parameter.grad, rtol=1e-5, atol=1e-9), field


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REFUSED)
def test_other_models_are_refused_with_the_reason(model_config: Callable[..., Any], name: str) -> None:  # noqa: F811
    model, train = build(model_config(name, one_pass=True))
    training = model.training
    with pytest.raises(ValueError, match=REFUSED[name]) as caught:
        OnePassLoss(model, train.target_list_field, train.probe())
    assert "Set one_pass: False." in str(caught.value)
    assert model.training == training
    assert "gather_indexes" not in vars(model)


def test_a_model_that_looks_ahead_is_refused(model_config: Callable[..., Any]) -> None:  # noqa: F811
    model, train = build(model_config("GRU4Rec", one_pass=True))
    model.gru_layers.flatten_parameters()
    forward = model.gru_layers.forward
    model.gru_layers.forward = lambda x: forward(x.flip(1))  # reads the history backwards
    with pytest.raises(ValueError, match=r"its output before position \d changes"):
        OnePassLoss(model, train.target_list_field, train.probe())


def test_an_error_in_the_models_own_code_is_not_blamed_on_one_pass(model_config: Callable[..., Any]) -> None:  # noqa: F811
    model, train = build(model_config("GRU4Rec", one_pass=True))

    def broken(*_: object) -> None:
        raise RuntimeError("no such thing")

    model.calculate_loss = broken
    with pytest.raises(RuntimeError, match=r"^no such thing$"):
        OnePassLoss(model, train.target_list_field, train.probe())


def test_a_model_that_reads_the_padding_is_refused(model_config: Callable[..., Any]) -> None:  # noqa: F811
    model, train = build(model_config("GRU4Rec", one_pass=True, MAX_ITEM_LIST_LENGTH=20))
    model.gru_layers.flatten_parameters()
    forward = model.gru_layers.forward
    model.gru_layers.forward = lambda x: forward(x * x.shape[1] ** 2)  # evaluation pads to another width than training
    with pytest.raises(ValueError, match="its loss over all positions is"):
        OnePassLoss(model, train.target_list_field, train.probe())


@pytest.mark.parametrize("name", ["GRU4Rec", *NO_CROSS_ENTROPY])
def test_needs_cross_entropy(model_config: Callable[..., Any], name: str) -> None:  # noqa: F811
    settings = {"loss_type": "BPR", "train_neg_sample_args": None} if name == "GRU4Rec" else {}
    config = model_config(name, one_pass=True, strict_keys=False, **settings)
    with pytest.raises(ValueError, match="one_pass: True needs loss_type: CE"):
        recbole.data.utils.data_preparation(config, recbole.data.utils.create_dataset(config))
