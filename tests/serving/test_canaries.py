"""A new export recommends to a dozen users before it is put in place."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_longinterest.nn.finite import NotFiniteError
from recbole_longinterest.serving.canaries import CANARIES, ask_canaries, canaries, write_checked
from recbole_longinterest.serving.model_folder import read_folder
from recbole_longinterest.serving.recommender import Recommender
from tests.served import OPTIONS, random_model, random_served


@pytest.mark.parametrize("n_items", [1, 2, 11, 12, 300])
def test_a_dozen_histories_of_known_items(n_items: int) -> None:
    tokens = ["[PAD]", *(f"i{i}" for i in range(n_items))]
    asked = canaries(tokens)
    assert len(asked) == CANARIES and all(history and set(history) <= set(tokens[1:]) for history in asked)
    assert ask_canaries(random_model(n_items=n_items)) == CANARIES


def test_a_model_of_finite_weights_that_cannot_rank_is_not_put_in_place(tmp_path: Path) -> None:
    write_checked(random_served(), tmp_path / "m")
    before = read_folder(tmp_path / "m").fingerprint
    wild = random_served()
    wild.weights["id_embedding.weight"].mul_(1e30)  # finite, and its scores are not
    wild.weights["interest_encoder.query.weight"].mul_(1e30)
    assert all(value.isfinite().all() for value in wild.weights.values() if value.is_floating_point())
    with pytest.raises(NotFiniteError, match=r"The model cannot rank items: for the history i0 it has \d of 10 items"):
        write_checked(wild, tmp_path / "m")
    assert read_folder(tmp_path / "m").fingerprint == before and [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_boost_beyond_all_numbers_is_one_sentence() -> None:
    served = random_served(OPTIONS, 5)
    size = 4
    served.weights["item_sources.text.vectors"] = torch.randn(6, size)
    served.weights["item_sources.text.present"] = torch.ones(6, dtype=torch.bool)
    served.weights["item_sources.text.mean"] = torch.zeros(3)
    served.weights["item_sources.text.whitening"] = torch.full((3, size), 1e20)
    served.weights["item_sources.text.project.weight"] = torch.randn(16, size)
    served.weights["item_sources.text.absent"] = torch.zeros(16)
    model = Recommender(served)
    with pytest.raises(ValueError, match=r"boost 1e\+30 makes the new items' vectors infinite\. Give a smaller one"):
        model.add_items(pd.DataFrame({"item_id": ["new"]}), np.ones((1, 3), np.float32), boost=1e30)
