"""Rankings through an index are those of all scores: filters, seen items, factors, further terms, added items."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from recbole_longinterest.serving.candidates import NO_IDS, Admission, Ids, Scores
from recbole_longinterest.serving.index import search as search_module
from recbole_longinterest.serving.index.faiss_index import FaissIndex
from recbole_longinterest.serving.index.search import VectorSearch
from recbole_longinterest.serving.recommender import Recommender
from tests.served import OPTIONS, ModelOptions, random_model

pytest.importorskip("faiss")
N_ITEMS = 4000
NO_TERMS: Scores = np.zeros(0, dtype=np.float32)


@pytest.fixture(scope="module", params=["ivf", "hnsw"])
def searches(request: pytest.FixtureRequest) -> tuple[VectorSearch, VectorSearch]:
    model = random_model(n_items=N_ITEMS)
    index = FaissIndex.build(request.param, model.items.numpy())
    index.effort = {10: index.most_effort}  # what is tested is the search, not the recall
    return VectorSearch(model, index), VectorSearch(model)


def same(
    searches: Sequence[VectorSearch],
    admission: Admission,
    ids: Ids = NO_IDS,
    terms: Scores = NO_TERMS,
    number: int = 10,
) -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        interest = torch.randn(1, searches[0].scorer.items.shape[1], generator=generator)
        found, wanted = (each.ranking(interest, ids, terms).best(number, admission) for each in searches)
        assert found[0].tolist() == wanted[0].tolist()
        assert np.allclose(found[1], wanted[1], atol=1e-4)


def test_all_items(searches: tuple[VectorSearch, VectorSearch]) -> None:
    for number in (1, 10, 200, N_ITEMS):
        same(searches, Admission(), number=number)


@pytest.mark.parametrize("share", [0.9, 0.3, 0.05, 0.001])
def test_filters_of_any_share(searches: tuple[VectorSearch, VectorSearch], share: float) -> None:
    allowed = np.random.default_rng(0).random(N_ITEMS + 1) < share
    same(searches, Admission(allowed))


def test_only_some_items(searches: tuple[VectorSearch, VectorSearch]) -> None:
    same(searches, Admission(only=np.arange(1, N_ITEMS, 7)))
    same(searches, Admission(np.arange(N_ITEMS + 1) % 2 == 0, only=np.arange(1, 200)))


def test_seen_items_that_would_fill_the_answer(searches: tuple[VectorSearch, VectorSearch]) -> None:
    """The best 150 of each query are hidden, which is more than are looked up at first."""
    generator = torch.Generator().manual_seed(3)
    interest = torch.randn(1, 16, generator=generator)
    best, _ = searches[1].ranking(interest).best(150)
    found, wanted = (each.ranking(interest).best(10, Admission(hidden=best)) for each in searches)
    assert found[0].tolist() == wanted[0].tolist() and len(wanted[0]) == 10


def test_factors_that_raise_items_from_far_below(searches: tuple[VectorSearch, VectorSearch]) -> None:
    rng = np.random.default_rng(1)
    for factor in (0.2, 2.0, 1e4):
        boost = np.where(rng.random(N_ITEMS + 1) < 0.1, np.log(factor), 0).astype(np.float32)
        same(searches, Admission(boost=boost))


def test_terms_of_a_memory_and_of_seen_items(searches: tuple[VectorSearch, VectorSearch]) -> None:
    rng = np.random.default_rng(2)
    ids = rng.permutation(np.arange(1, N_ITEMS + 1))[:500]
    terms = (5 * rng.random(500)).astype(np.float32)
    same(searches, Admission(), ids, terms)
    same(searches, Admission(), ids, -terms)


def test_items_that_were_added_are_found_without_a_new_index() -> None:
    model = random_model(n_items=N_ITEMS)
    index = FaissIndex.build("ivf", model.items.numpy())
    index.effort = {10: index.most_effort}
    search = VectorSearch(model, index)
    grown = random_model(n_items=N_ITEMS + 3)
    items = torch.cat([model.items, 3 * grown.items[-3:]])
    items[17] = 4 * items[17]  # an item whose text changed
    assert search.loose.tolist() == []
    model.items = items
    model.served.items.tokens += ["x", "y", "z"]
    assert search.loose.tolist() == [17, N_ITEMS + 1, N_ITEMS + 2, N_ITEMS + 3]
    interest = items[17:18]
    ids, scores = search.ranking(interest).best(1)
    assert ids.tolist() == [17] and scores[0] == pytest.approx(float(items[17] @ items[17]), rel=1e-5)


def test_a_search_of_another_model_with_further_items() -> None:
    model = random_model(n_items=N_ITEMS)
    index = FaissIndex.build("ivf", model.items.numpy())
    grown = random_model(n_items=N_ITEMS + 3)
    grown.items = torch.cat([model.items, 3 * grown.items[-3:]])
    search = VectorSearch(model, index).of_model(grown)
    assert search.scorer is grown and search.index is index
    assert search.loose.tolist() == [N_ITEMS + 1, N_ITEMS + 2, N_ITEMS + 3]
    assert VectorSearch(model).of_model(grown).loose.tolist() == []


def test_cosine_logits() -> None:
    model = random_model(ModelOptions(**{**vars(OPTIONS), "logits": "cosine"}), n_items=N_ITEMS)
    vectors = model.network.comparable(model.items[:1], model.items)[1]
    index = FaissIndex.build("ivf", vectors.numpy())
    index.effort = {10: index.most_effort}
    same([VectorSearch(model, index), VectorSearch(model)], Admission())


def test_most_searches_do_not_score_all_items(
    searches: tuple[VectorSearch, VectorSearch], monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[int] = []
    products = VectorSearch.products

    def counted(self: VectorSearch, interest: torch.Tensor, ids: Ids) -> Scores:
        scored.append(len(ids))
        return products(self, interest, ids)

    monkeypatch.setattr(search_module.VectorSearch, "products", counted)
    monkeypatch.setattr(Recommender, "scores_of", lambda *_: pytest.fail("all items were scored"))
    interest = torch.randn(1, 16, generator=torch.Generator().manual_seed(5))
    searches[0].ranking(interest).best(10, Admission(hidden=np.array([5, 9])))
    assert max(scored) < 100
