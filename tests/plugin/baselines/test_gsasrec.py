"""gSASRec: the loss of its options, and SASRec's layers."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from recbole.model.sequential_recommender.sasrec import SASRec

from recbole_longinterest.plugin.baselines import gsasrec
from recbole_longinterest.plugin.baselines.sampled import beta_of, generalised_bce

Build = Callable[..., Any]


@pytest.mark.parametrize(("shared", "prior"), [(False, False), (True, False), (False, True)])
def test_the_loss_is_gbce_over_the_drawn_negatives(
    build: Build, shared: bool, prior: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build("gSASRec", shared_negatives=shared, calibration=0.5, prior_logit=prior).model
    chance = 1 / (model.n_items - 1)
    shift = math.log(chance / (1 - chance)) if prior else 0.0
    outputs, target = torch.randn(5, 8), torch.tensor([1, 2, 3, 4, 5])
    drawn = torch.tensor([2, 7, 9]) if shared else torch.randint(6, 12, (5, 3))
    monkeypatch.setattr(gsasrec, "draw_uniform", lambda *_: drawn)
    items = model.item_embedding.weight
    rows = drawn.expand(5, 3)
    negative = torch.stack([outputs[row] @ items[rows[row]].T for row in range(5)])
    expected = generalised_bce(
        (outputs * items[target]).sum(dim=1) + shift,
        negative + shift,
        beta_of(8, model.n_items, 0.5),
        rows == target.unsqueeze(1),
    )
    assert (rows == target.unsqueeze(1)).any() == shared
    torch.testing.assert_close(model.loss(outputs, items, target), expected)


def test_it_has_the_parameters_and_the_outputs_of_recboles_sasrec(build: Build) -> None:
    made = build("gSASRec")
    settings = {**made.config.final_config_dict, "loss_type": "CE", "device": torch.device("cpu")}
    sasrec: Any = SASRec(settings, made.train._dataset)
    sasrec.load_state_dict(made.model.state_dict())
    (window,) = list(made.train)
    made.model.eval(), sasrec.eval()
    last = made.model.gather_indexes(made.model.forward(window), window["item_length"] - 1)
    torch.testing.assert_close(last, sasrec(window["item_id_list"], window["item_length"]))
