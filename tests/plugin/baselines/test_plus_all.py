"""RecBole's encoders among LongInterest's inputs: causal, one pass, and all else LongInterest's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.model.sequential_recommender.gru4rec import GRU4Rec
from recbole.model.sequential_recommender.sasrec import SASRec
from recbole.utils import get_model, init_seed

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.plugin.one_pass import prefix_rows
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter
from tests.plugin.baselines.conftest import chain

NAMES = ("SASRecAll", "GRU4RecAll")
SMALL = {"embedding_size": 8, "hidden_size": 8, "train_batch_size": 10**6, "epochs": 1, "show_progress": False}
SMALL |= {"MAX_ITEM_LIST_LENGTH": 12, "state": "ERROR"}
Built = tuple[Any, Any, Any, Any]


@pytest.fixture
def built(write_dataset: Callable[..., Path]) -> Callable[..., Built]:
    def make(name: str, inter: str | None = None, **settings: Any) -> Built:
        root = write_dataset("tiny", inter or synthetic_inter())
        config = make_config(name, "tiny", config_dict={**SMALL, "data_path": str(root), **settings})
        init_seed(config["seed"], True)
        train, valid, _ = data_preparation(config, create_dataset(config))
        model = get_model(name)(config, train._dataset).eval()
        for weights in model.parameters():
            if weights.dim() > 1:
                torch.nn.init.normal_(weights, std=0.3)
        return config, model, train, valid

    return make


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_of_a_window_and_its_gradients_are_those_of_its_prefix_rows(
    built: Callable[..., Built], name: str
) -> None:
    _, model, train, _ = built(name)
    (window,) = list(train)
    results = []
    for batch in (window, prefix_rows(window, model, model.TARGET_SEQ)):
        model.zero_grad()
        loss = model.calculate_loss(batch)
        loss.backward()
        gradients = {key: weights.grad.clone() for key, weights in model.named_parameters() if weights.grad is not None}
        results.append((loss.detach(), gradients))
    (one, ours), (other, theirs) = results
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert ours.keys() == theirs.keys() == dict(model.named_parameters()).keys()  # every parameter has a gradient
    for key, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[key], rtol=1e-3, atol=1e-5)


class Given(torch.nn.Module):
    """Stands in for an item embedding."""

    def __init__(self, vectors: torch.Tensor) -> None:
        super().__init__()
        self.vectors = vectors

    def forward(self, item_seq: torch.Tensor) -> torch.Tensor:
        return self.vectors


@pytest.mark.parametrize("name", NAMES)
def test_the_encoder_is_recboles(built: Callable[..., Built], name: str) -> None:
    config, model, train, _ = built(name)
    fused = torch.randn(3, 12, 8)
    theirs: Any
    if name == "SASRecAll":
        config["layer_norm_eps"] = 1e-12
        theirs = SASRec(config, train._dataset).eval()
        own = model.interest_encoder
        theirs.position_embedding.load_state_dict(own.position_embedding.state_dict())
        theirs.LayerNorm.load_state_dict(own.norm.state_dict())
        theirs.trm_encoder.load_state_dict(own.transformer.state_dict())
    else:
        theirs = GRU4Rec(config, train._dataset).eval()
        theirs.gru_layers.load_state_dict(model.interest_encoder.gru.state_dict())
        theirs.dense.load_state_dict(model.interest_encoder.dense.state_dict())
    theirs.item_embedding = Given(fused)
    item_seq = torch.ones(3, 12, dtype=torch.int64)
    for length in (1, 5, 12):
        expected = theirs.forward(item_seq, torch.full((3,), length))
        torch.testing.assert_close(model.interest_encoder(fused)[:, length - 1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_predict_is_a_column_of_all_scores_and_padding_changes_nothing(built: Callable[..., Built], name: str) -> None:
    _, model, _, valid = built(name)
    batch = next(iter(valid))[0]
    scores = model.full_sort_predict(batch)
    item = torch.arange(len(scores)) % (model.n_items - 1) + 1
    one = model.predict(Interaction({**batch.interaction, model.ITEM_ID: item}))
    torch.testing.assert_close(one, scores[torch.arange(len(scores)), item], rtol=1e-4, atol=1e-5)
    padded = {
        field: torch.nn.functional.pad(value, (0, 5)) if value.dim() == 2 else value
        for field, value in batch.interaction.items()
    }
    torch.testing.assert_close(model.full_sort_predict(Interaction(padded)), scores, rtol=1e-4, atol=1e-5)


def test_sasrec_reads_the_last_events_of_a_long_history(built: Callable[..., Built]) -> None:
    _, model, _, valid = built("SASRecAll", chain(False), MAX_ITEM_LIST_LENGTH=4)
    batch = next(iter(valid))[0]
    lengths = batch[model.ITEM_SEQ_LEN]
    assert int(lengths.max()) > 4
    items = model.item_vectors()
    interest = model.last_interest(batch, items)
    for back, moves in ((5, False), (4, True)):  # counted from the end
        rows = (lengths >= back).nonzero().flatten()
        changed = batch[model.ITEM_SEQ].clone()
        place = lengths[rows] - back
        changed[rows, place] = changed[rows, place] % (model.n_items - 1) + 1
        other = model.last_interest(Interaction({**batch.interaction, model.ITEM_SEQ: changed}), items)
        assert len(rows) and ((interest[rows] - other[rows]).abs().amax(dim=1) > 1e-5).all() == moves


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_planted_order_is_learned_and_a_shuffled_one_is_not(write_dataset: Callable[..., Path], name: str) -> None:
    found = {}
    for shuffled in (False, True):
        root = write_dataset(f"ring{shuffled}", chain(shuffled))
        settings = {**SMALL, "embedding_size": 16, "hidden_size": 16, "data_path": str(root), "epochs": 60}
        settings |= {"dropout_prob": 0.0, "hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0, "stopping_step": 60}
        settings |= {"learning_rate": 0.02, "weight_averaging": 0.9, "train_batch_size": 128}
        settings = {key: value for key, value in settings.items() if key != "attn_dropout_prob" or name == "SASRecAll"}
        trained = pipeline.train(make_config(name, f"ring{shuffled}", config_dict=settings))
        found[shuffled] = trained.best_valid_score
    assert found[False] > 0.9 and found[True] < 0.6


def test_options_out_of_range_are_named(built: Callable[..., Built]) -> None:
    with pytest.raises(LongInterestError, match=r"SASRecAll: n_layers must be a whole number of at least 1; got 0\."):
        built("SASRecAll", n_layers=0)
    with pytest.raises(LongInterestError, match=r"n_heads must divide hidden_size \(8\); got 3\."):
        built("SASRecAll", n_heads=3)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_leaves_the_config_as_it_is(built: Callable[..., Built], name: str) -> None:
    """A comparison that continues compares the config of a finished run with that of a run that has not begun."""
    config, model, *_ = built(name, hidden_size=16)
    assert (config["hidden_size"], config["embedding_size"]) == (16, built(name)[0]["embedding_size"])
    assert model.item_vectors().shape[1] == (16 if name == "SASRecAll" else config["embedding_size"])
