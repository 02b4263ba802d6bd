"""The lift of new items: in every score, in explanations, with an index, and what sets it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.state_keys import TEXT, item_key
from recbole_longinterest.serving.explain.methods import NEW, explain_history, score_of
from recbole_longinterest.serving.index.faiss_index import FaissIndex
from recbole_longinterest.serving.index.search import VectorSearch
from recbole_longinterest.serving.lift import FOUND, LIFT, items_with_vector, used_lift
from recbole_longinterest.serving.new_items import with_items
from recbole_longinterest.serving.on_device import DeviceRecommender
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.served import Served
from tests.serving.strategies.shops import NEW as FIRST_NEW
from tests.serving.strategies.shops import TEXT_DIM, N, events_of, model_with_texts

FOUND_LIFT = {FOUND: {"lift": 1.5, "cost": 0.01, "events": 500, "items": 5}}


def lifted(lift: float) -> Recommender:
    served = model_with_texts().served
    return Recommender(replace(served, about={**served.about, LIFT: lift}))


def test_new_items_are_those_without_training_that_have_a_vector() -> None:
    weights = model_with_texts().served.weights
    assert items_with_vector(weights, trained=False).tolist() == list(range(FIRST_NEW + 1, N + 1))
    assert items_with_vector(weights, trained=True).tolist() == [*range(1, 41), *range(46, FIRST_NEW + 1)]


def test_every_new_item_and_no_other_scores_higher() -> None:
    plain, raised = model_with_texts(), lifted(2.5)
    history = [model.read(events_of(9)) for model in (plain, raised)]
    before, after = (
        model.scores_of(model.interest([read]), [read.item_seq], model.recent([read]))[0]
        for model, read in zip((plain, raised), history, strict=True)
    )
    difference = (after - before)[1:]
    assert torch.allclose(difference[FIRST_NEW:], torch.tensor(2.5), atol=1e-5)
    assert not difference[:FIRST_NEW].any()
    there = DeviceRecommender(raised.served, "cpu")
    assert torch.allclose(there.scores_of(there.interest([history[1]]), [history[1].item_seq])[0], after, atol=1e-5)


def test_an_explanation_names_it_and_its_other_shares_are_those_without() -> None:
    plain, raised = model_with_texts(), lifted(2.5)
    new = FIRST_NEW + 3
    for item, there in ((new, True), (5, False)):
        told = [explain_history(model, model.read(events_of(9)), item) for model in (plain, raised)]
        shares = [[share.share for share in each.events] for each in told]
        assert shares[0] == pytest.approx(shares[1], abs=1e-5)
        assert (NEW in told[1].sources) == there and NEW not in told[0].sources
    before, after = (score_of(model, model.read(events_of(9)), new) for model in (plain, raised))
    assert after - before == pytest.approx(2.5, abs=1e-5)


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_an_index_that_does_not_know_it_finds_the_same(kind: str) -> None:
    pytest.importorskip("faiss")
    model = lifted(3.0)
    index = FaissIndex.build(kind, model.items.numpy())
    index.effort = {10: index.most_effort}
    interest = model.interest([model.read(events_of(9))])
    found, wanted = (each.ranking(interest).best(10) for each in (VectorSearch(model, index), VectorSearch(model)))
    assert found[0].tolist() == wanted[0].tolist() and np.allclose(found[1], wanted[1], atol=1e-4)
    assert (found[0] > FIRST_NEW).any()


def served_with_encoder() -> Served:
    served = model_with_texts().served
    whitening = {item_key(TEXT, "mean"): torch.zeros(TEXT_DIM), item_key(TEXT, "whitening"): torch.eye(TEXT_DIM)}
    return replace(served, weights={**served.weights, **whitening})


def frame(number: int) -> tuple[pd.DataFrame, np.ndarray]:
    return pd.DataFrame({"item_id": [f"n{number}"]}), np.ones((1, TEXT_DIM), dtype=np.float32)


def test_adding_items_uses_what_the_export_found() -> None:
    served = served_with_encoder()
    found = replace(served, about={**served.about, **FOUND_LIFT})
    assert used_lift(found.about) == 0  # before an item is added, scores are the training's
    assert used_lift(with_items(found, *frame(1)).served.about) == 1.5
    assert used_lift(with_items(served, *frame(1)).served.about) == 0
    chosen = with_items(found, *frame(1), lift=0.25).served
    assert used_lift(chosen.about) == 0.25
    assert used_lift(with_items(chosen, *frame(2)).served.about) == 0.25  # stays
    assert used_lift(with_items(with_items(found, *frame(1), lift=0).served, *frame(2)).served.about) == 0


@pytest.mark.parametrize("lift", [-1, 101, float("nan"), float("inf"), True, "2"])
def test_what_is_no_lift(lift: object) -> None:
    with pytest.raises(LongInterestError, match="lift must be a number from 0 to 100; got"):
        with_items(served_with_encoder(), *frame(1), lift=lift)  # type: ignore[arg-type]
    with pytest.raises(LongInterestError, match="lift must be a number from 0 to 100; got"):
        served = model_with_texts().served
        Recommender(replace(served, about={LIFT: lift}))  # a file may hold anything
