"""A model's memory of transitions in strategies: the same scores as the model's own, from few items a visitor."""

import numpy as np
import pytest

from recbole_longinterest.nn.memory import EVENTS
from recbole_longinterest.serving.index import VectorSearch
from recbole_longinterest.serving.index.faiss_index import FaissIndex
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.strategies import Shop
from recbole_longinterest.serving.strategies.memory import followers_of, terms_of
from recbole_longinterest.serving.visitor import Visitor
from tests.served import N_ITEMS, WITH_MEMORY, random_events, random_model


@pytest.fixture
def model() -> Recommender:
    model = random_model(WITH_MEMORY)
    assert model.network.memory is not None
    model.network.memory.counts[0] = 0  # nothing follows the padding
    return model


@pytest.mark.parametrize("number", [1, 3, 40])
def test_the_terms_are_what_the_memory_adds(model: Recommender, number: int) -> None:
    history = model.read(random_events(number))
    visitor, terms = Visitor.of_history(model, history), terms_of(model)
    assert terms is not None and visitor.interest is not None
    ids, added = terms(visitor)
    scores = model.scores_of(visitor.interest)[0]
    wanted = model.scores_of(visitor.interest, (), model.recent([history]))[0]
    scores[ids] += added
    assert np.allclose(scores[1:], wanted[1:], atol=1e-5)
    assert len(ids) <= EVENTS * WITH_MEMORY.memory_size and len(set(ids.tolist())) == len(ids)


def test_a_shop_recommends_what_the_model_does_with_an_index_and_without(model: Recommender) -> None:
    shops = [Shop(model)]
    try:
        index = FaissIndex.build("ivf", model.items.numpy())
        shops.append(Shop(model, search=VectorSearch(model, index)))
    except ImportError:
        pass
    for seed in range(5):
        events = random_events(30, seed)
        history, state = model.read(events), model.start()
        for event in events:
            state.update(event)
        wanted = model.recommend(events, 10)
        for shop in shops:
            for visitor in (Visitor.of_history(model, history), Visitor.of_state(state, history.last(2))):
                found = shop.recommend(visitor, 10, "interest").items
                assert [item.item for item in found] == [item.item for item in wanted.items]
                assert [item.score for item in found] == pytest.approx([i.score for i in wanted.items], abs=1e-4)


def test_together_follows_the_memory_and_what_it_observes(model: Recommender) -> None:
    table = followers_of(model)
    assert table is not None and table.followers(N_ITEMS + 5)[0].tolist() == []
    for item in (1, 7):
        ids, weights = table.followers(item)
        assert len(ids) == len(weights) <= WITH_MEMORY.memory_size and (weights > 0).all()
    shop = Shop(model)
    before = shop.recommend(Visitor.of_history(model, model.read(["i3"])), 5, "together").items
    assert len(before) == 5
    for _ in range(30):
        model.observe(["i3", "i200"], new=1)
    after = shop.recommend(Visitor.of_history(model, model.read(["i3"])), 5, "together").items
    assert after[0].item == "i200" != before[0].item


def test_a_model_without_a_memory() -> None:
    model = random_model()
    assert terms_of(model) is None and followers_of(model) is None
