"""What each strategy brings, on a catalogue where it is known."""

from collections import Counter

import numpy as np
import pytest

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.candidates import Ranking
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.index.search import VectorSearch
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.strategies.base import Context, Strategy, weights_of_last
from recbole_longinterest.serving.strategies.content import Content
from recbole_longinterest.serving.strategies.interest import Interest
from recbole_longinterest.serving.strategies.new import New, untrained
from recbole_longinterest.serving.strategies.popular import ELSEWHERE, Popular
from recbole_longinterest.serving.strategies.similar import Similar
from recbole_longinterest.serving.strategies.together import Together
from recbole_longinterest.serving.visitor import Visitor
from tests.served import random_model
from tests.serving.strategies.shops import NEW, N, events_of, model_with_texts

MODEL = model_with_texts()


def context_of(model: Recommender, **more: object) -> Context:
    return Context(model, VectorSearch(model), **more)  # type: ignore[arg-type]


def visitor_of(items: list[str] | list[Event], model: Recommender = MODEL) -> Visitor:
    return Visitor.of_history(model, model.read(items))


def ranked(strategy: Strategy, visitor: Visitor, seed: int = 0) -> Ranking:
    ranking = strategy.ranking(visitor, np.random.default_rng(seed))
    assert ranking is not None
    return ranking


def test_interest_gives_the_scores_of_the_model() -> None:
    events = events_of(20)
    visitor = visitor_of(events)
    assert visitor.interest is not None
    scores = MODEL.scores_of(visitor.interest, [visitor.seen])[0]
    ids, found = ranked(Interest.make(context_of(MODEL)), visitor).best(N)
    assert sorted(ids.tolist()) == list(range(1, N + 1))
    assert np.allclose(found, scores[1:].sort(descending=True).values, atol=1e-5)
    assert np.allclose(found, scores[ids], atol=1e-5)


def test_interest_with_the_terms_of_a_memory() -> None:
    events = events_of(20)
    visitor = visitor_of(events)
    assert visitor.interest is not None
    ids = np.array([5, *list(visitor.seen)[:3]])
    terms = np.array([7, 1, 2, 3], dtype=np.float32)
    scores = MODEL.scores_of(visitor.interest, [visitor.seen])[0]
    scores[ids] += terms
    strategy = Interest.make(context_of(MODEL, terms=lambda _: (ids, terms)))
    assert np.allclose(ranked(strategy, visitor).scores_of_all(N + 1)[1:], scores[1:], atol=1e-5)


def test_interest_of_nobody() -> None:
    assert Interest.make(context_of(MODEL)).ranking(visitor_of([]), np.random.default_rng(0)) is None


def test_similar_is_the_cosine_with_the_last_items() -> None:
    ids, scores = ranked(Similar.make(context_of(MODEL)), visitor_of(["i7"])).best(5)
    vectors = MODEL.items.numpy()
    cosines = vectors @ vectors[8] / np.linalg.norm(vectors, axis=1).clip(1e-12) / np.linalg.norm(vectors[8])
    assert ids.tolist() == np.argsort(-cosines)[:5].tolist() and ids[0] == 8
    assert np.allclose(scores, cosines[ids], atol=1e-5)


def test_the_newest_item_weighs_most() -> None:
    scores = ranked(Similar.make(context_of(MODEL)), visitor_of(["i3", "i7"])).scores_of_all(N + 1)
    units = MODEL.items.numpy() / np.linalg.norm(MODEL.items.numpy(), axis=1, keepdims=True).clip(1e-12)
    newest, older = weights_of_last(2)
    cosines = units @ (newest * units[8] + older * units[4])
    cosines /= np.linalg.norm(newest * units[8] + older * units[4])
    near = cosines > 0
    assert newest > older and np.allclose(scores[near], cosines[near], atol=1e-5) and (scores[~near] == -np.inf).all()


def test_content_knows_texts_alone() -> None:
    strategy = Content.make(context_of(MODEL))
    ids, scores = ranked(strategy, visitor_of(["i6"])).best(2)
    assert set(ids.tolist()) == {7, 8} and scores.tolist() == pytest.approx([1, 1], abs=1e-5)  # i6 and i7: one text
    assert strategy.ranking(visitor_of(["i40"]), np.random.default_rng(0)) is None  # an item without a text
    assert not {41, 42, 43, 44, 45} & set(ranked(strategy, visitor_of(["i6"])).best(N)[0].tolist())


def test_what_a_strategy_lacks_is_said() -> None:
    plain = random_model(n_items=20)
    with pytest.raises(LongInterestError, match="The strategy content needs a model that reads texts"):
        Content.make(context_of(plain))
    with pytest.raises(LongInterestError, match="The strategy together needs a model with a memory of transitions"):
        Together.make(context_of(plain))
    with pytest.raises(LongInterestError, match="The strategy popular needs counts of recent events"):
        Popular.make(context_of(plain))


def test_popular_is_the_counts_for_nobody() -> None:
    ids, scores = ranked(Popular.make(context_of(MODEL)), visitor_of([])).best(3)
    assert ids.tolist() == [1, 2, 3] and scores.tolist() == [60, 59, 58]


def test_popular_of_the_visitors_categories() -> None:
    """Every third item is a Comedy, the others are Drama and War."""
    ids, scores = ranked(Popular.make(context_of(MODEL)), visitor_of(["i3", "i6"])).best(N)
    comedies = [item for item in range(1, N + 1) if (item - 1) % 3 == 0]
    assert ids[: len(comedies) // 2].tolist() == comedies[: len(comedies) // 2]
    amounts = dict(zip(ids.tolist(), scores.tolist(), strict=True))
    assert amounts[1] == 60 and amounts[2] == pytest.approx(59 * ELSEWHERE)


def test_popular_takes_fresh_counts() -> None:
    strategy = Popular.make(context_of(MODEL))
    counts = [0.0] * 40
    counts[17] = 5
    strategy.set_counts(counts)
    assert ranked(strategy, visitor_of([])).best(3)[0].tolist() == [17]  # the others have none


def test_popular_knows_the_categories_of_items_that_were_added() -> None:
    model = model_with_texts()
    strategy = Popular.make(context_of(model))
    items = model.served.items
    items.tokens.append("late")
    items.categories.append(["Comedy"])
    strategy.set_counts([0.0] * (len(items.tokens) - 1) + [7.0])
    assert ranked(strategy, visitor_of(["i3", "i6"], model)).best(1)[1].tolist() == [7.0]


def test_new_items_are_those_that_the_training_did_not_see() -> None:
    new = list(range(NEW + 1, N + 1))
    assert untrained(MODEL).tolist() == new
    for items in ([], ["i1", "i2"]):
        ids, _ = ranked(New.make(context_of(MODEL)), visitor_of(items)).best(N)
        assert sorted(ids.tolist()) == new
    assert New.make(context_of(random_model(n_items=20))).ranking(visitor_of([]), np.random.default_rng(0)) is None
    chosen = New(VectorSearch(MODEL), items=[3, 5])
    assert sorted(ranked(chosen, visitor_of([])).best(9)[0].tolist()) == [3, 5]


def test_new_items_are_drawn_with_the_odds_of_the_model() -> None:
    visitor = visitor_of(["i1", "i2"])
    strategy = New(VectorSearch(MODEL))
    firsts = Counter(int(ranked(strategy, visitor, seed).best(1)[0][0]) for seed in range(4000))
    assert visitor.interest is not None
    scores = MODEL.scores_of(visitor.interest)[0][NEW + 1 :]
    for place, odds in enumerate(scores.softmax(0).tolist()):
        assert firsts[NEW + 1 + place] / 4000 == pytest.approx(odds, abs=0.04)
    equal = Counter(int(ranked(strategy, visitor_of([]), seed).best(1)[0][0]) for seed in range(4000))
    assert min(equal.values()) > 300 and len(equal) == N - NEW
