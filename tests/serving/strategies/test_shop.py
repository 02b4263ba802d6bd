"""A shop's answers: the strategy of every item, rules in all of them, an index or none."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.canaries import write_checked
from recbole_longinterest.serving.index import VectorSearch
from recbole_longinterest.serving.index.faiss_index import FaissIndex
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.rules import RulesError, ShopRules, read_rules
from recbole_longinterest.serving.strategies import Answer, Bandit, Shop, Transitions, strategy_names
from recbole_longinterest.serving.visitor import Visitor
from tests.served import random_events, random_model, random_served
from tests.serving.strategies.shops import NEW, N, events_of, model_with_texts

MODEL = model_with_texts()
FOLLOWERS = Transitions.from_histories([MODEL.read(events_of(30, seed)).item_seq for seed in range(20)], N + 1)


def shop_of(text: str = "", **more: object) -> Shop:
    rules = ShopRules(read_rules(text, "shop.yaml", strategy_names()), MODEL)
    return Shop(MODEL, rules=rules, followers=FOLLOWERS, seed=0, **more)  # type: ignore[arg-type]


def visitor_of(number: int, seed: int = 0) -> Visitor:
    return Visitor.of_history(MODEL, MODEL.read(events_of(number, seed)))


def items_of(answer: Answer) -> list[str]:
    return [item.item for item in answer.items]


def brought(shop: Shop, events: int, answers: int = 200, k: int = 10) -> dict[str, float]:
    """Share of each strategy in many answers."""
    counts: Counter[str] = Counter()
    for seed in range(answers):
        counts.update(shop.recommend(visitor_of(events, seed % 10), k, seed=seed).brought_by)
    return {name: count / counts.total() for name, count in counts.items()}


def test_the_default_mix_by_the_number_of_events() -> None:
    shop = shop_of()
    assert brought(shop, 0) == {"popular": pytest.approx(0.9, abs=0.02), "new": pytest.approx(0.1, abs=0.02)}
    one = brought(shop, 1)
    assert max(one, key=one.__getitem__) == "similar" and set(one) == {"similar", "together", "popular", "new"}
    many = brought(shop, 30)
    assert many == {"interest": pytest.approx(0.9, abs=0.02), "new": pytest.approx(0.1, abs=0.02)}


def test_shares_of_the_rules() -> None:
    shop = shop_of("mix: [{events: {min: 5}, shares: {interest: 0.5, content: 0.3, popular: 0.2}}]")
    found = brought(shop, 20)
    assert found == {
        name: pytest.approx(share, abs=0.03)
        for name, share in {"interest": 0.5, "content": 0.3, "popular": 0.2}.items()
    }
    assert set(brought(shop, 2, 20)) == {"interest"}  # no rule fits, so the last resort


def test_items_are_named_once_and_by_their_strategy() -> None:
    shop = shop_of("mix: [{shares: {interest: 1, similar: 1, content: 1, together: 1, popular: 1, new: 1}}]")
    visitor = visitor_of(20)
    answer = shop.recommend(visitor, 30)
    assert len(set(items_of(answer))) == 30 and len(answer.brought_by) == 6
    assert not {MODEL.item_id(item) for item in items_of(answer)} & visitor.seen
    assert all(item.title == MODEL.served.items.titles[MODEL.item_id(item.item)] for item in answer.items)
    for item in answer.items:
        if item.strategy == "new":
            assert int(item.item[1:]) >= NEW
    assert answer.to_dict()["items"][0].keys() == {"item", "title", "score", "strategy"}


def test_one_strategy_gives_its_best_items() -> None:
    shop, visitor = shop_of(), visitor_of(20)
    wanted = MODEL.recommend(events_of(20), 5)
    answer = shop.recommend(visitor, 5, "interest")
    assert items_of(answer) == [item.item for item in wanted.items]
    assert [item.score for item in answer.items] == pytest.approx([item.score for item in wanted.items], abs=1e-5)


def test_what_a_strategy_cannot_fill_others_do() -> None:
    shop = shop_of("mix: [{shares: {new: 1}}]")  # ten new items
    answer = shop.recommend(visitor_of(20), 25)
    assert len(answer.items) == 25 and answer.brought_by["interest"] >= 15
    assert len(shop.recommend(visitor_of(0), 25).items) == 25  # popular ones for nobody
    everything = shop.recommend(visitor_of(3), 10 * N)
    assert len(everything.items) == N - len(visitor_of(3).seen)


def test_answers_of_a_seed_are_equal() -> None:
    shop, visitor = shop_of(), visitor_of(1)
    assert shop.recommend(visitor, 10, seed=4) == shop_of().recommend(visitor, 10, seed=4)
    assert len({tuple(items_of(shop.recommend(visitor, 10))) for _ in range(10)}) > 1


def test_rules_hold_for_every_strategy() -> None:
    shop = shop_of(
        "deny: [i0, i1, i2]\nhide: {category: Comedy}\nlimits: [{of: category, at_most: 3}]\n"
        "diversity: {weight: 0.2, pool: 20}"
    )
    for name in ("mix", *strategy_names()):
        for events in (0, 1, 20):
            answer = shop.recommend(visitor_of(events), 10, name)
            assert len(answer.items) <= 3  # all but comedies are dramas
            assert not {int(item[1:]) % 3 for item in items_of(answer)} & {0}
            assert not {"i0", "i1", "i2"} & set(items_of(answer))


def test_stock_by_call_and_conditions_of_a_request() -> None:
    shop, visitor = shop_of(), visitor_of(20)
    first = items_of(shop.recommend(visitor, 3, "interest"))
    assert shop.set_available({first[0]: False, "nobody": False}) == ["nobody"]
    assert items_of(shop.recommend(visitor, 3, "interest"))[:2] == first[1:]
    comedies = items_of(shop.recommend(visitor, 5, where={"category": "Comedy"}))
    assert len(comedies) == 5 and all(int(item[1:]) % 3 == 0 for item in comedies)
    assert first[1] not in items_of(shop.recommend(visitor, 3, "interest", exclude=[first[1]]))
    seen = shop.recommend(visitor, N, "interest", exclude_seen=False)
    assert visitor.seen <= {MODEL.item_id(item) for item in items_of(seen)}


def test_a_factor_of_the_rules_raises_items() -> None:
    text = "boosts: [{where: {item: [i55]}, factor: 100000}]"
    answer = shop_of(text).recommend(visitor_of(20), 3, "interest")
    assert items_of(answer)[0] == "i55"
    assert items_of(shop_of(text).recommend(visitor_of(0), 3, "popular"))[0] == "i55"


def test_the_bandit_learns_from_feedback() -> None:
    bandit = Bandit(seed=0)
    shop = shop_of("mix: [{bandit: [interest, popular, content]}]", bandit=bandit)
    visitor = visitor_of(20)
    for _ in range(60):
        answer = shop.recommend(visitor, 10)
        clicked = {"content": answer.brought_by.get("content", 0) // 2}
        shop.feedback(answer.segment, answer.brought_by, clicked)
    late = Counter[str]()
    for _ in range(20):
        late.update(shop.recommend(visitor, 10).brought_by)
    assert late["content"] > 0.9 * late.total()
    assert set(brought(shop, 3, 30)) == {"interest", "popular", "content"}  # another segment knows nothing of it


def test_strategies_that_a_model_lacks(caplog: pytest.LogCaptureFixture) -> None:
    model = random_model(n_items=40)
    settings = read_rules("mix: [{shares: {content: 1, interest: 1}}]", "shop.yaml", strategy_names())
    shop = Shop(model, rules=ShopRules(settings, model))
    assert caplog.messages == [
        "The mix leaves content out: The strategy content needs a model that reads texts (text_features)."
    ]
    assert [name for name, why in shop.available().items() if not why] == ["interest", "similar", "new"]
    visitor = Visitor.of_history(model, model.read(["i3"]))
    assert shop.recommend(visitor, 5).brought_by == {"interest": 5}
    with pytest.raises(LongInterestError, match="The strategy together needs a model with a memory of transitions"):
        shop.recommend(visitor, 5, "together")
    with pytest.raises(LongInterestError, match="strategy must be one of"):
        shop.recommend(visitor, 5, "magic")
    with pytest.raises(LongInterestError, match="k must be a whole number of at least 1; got 0"):
        shop.recommend(visitor, 0)
    nobody = Visitor.of_history(model, model.read([]))
    assert shop.recommend(nobody, 5).problem == "no item is left that may be shown"


def test_items_like_an_item() -> None:
    shop = shop_of("deny: [i7]")
    assert items_of(shop.like(["i6"], 1, "content")) != ["i7"]
    assert items_of(shop_of().like(["i6"], 1, "content")) == ["i7"]
    for name in ("similar", "content", "together"):
        answer = shop.like(["i6", "unknown"], 5, name)
        assert 0 < len(answer.items) <= 5 and "i6" not in items_of(answer)
        assert {item.strategy for item in answer.items} == {name}
    with pytest.raises(LongInterestError, match="The model knows none of the 1 items"):
        shop.like(["unknown"])


def test_added_items_are_new_at_once() -> None:
    model = model_with_texts()
    shop = Shop(model, seed=0)
    vectors = np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32)
    weights = model.served.weights
    weights["item_sources.text.mean"] = weights["item_sources.text.mean"].new_zeros(8)
    weights["item_sources.text.whitening"] = weights["item_sources.text.mean"].new_ones(8).diag()
    frame = pd.DataFrame({"item_id": ["n0", "n1"]})
    assert model.add_items(frame, vectors).new == ["n0", "n1"]
    visitor = Visitor.of_history(model, model.read(["i3", "i4"]))
    assert {"n0", "n1"} <= set(items_of(shop.recommend(visitor, 12, "new")))
    for name in ("interest", "similar", "content", "popular"):
        assert len(shop.recommend(visitor, N, name).items) > 20


def test_rules_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text("deny: [i1]")
    shop = Shop(MODEL, rules=path)
    assert shop.rules_file is not None
    shop.rules_file._pause = 0.0
    assert "i1" not in items_of(shop.recommend(visitor_of(0), N, "popular"))
    path.write_text("deny: [i2]")
    os.utime(path, ns=(1, 1))
    found = items_of(shop.recommend(visitor_of(0), N, "popular"))
    assert "i1" in found and "i2" not in found
    path.write_text("denied: [i2]")
    with pytest.raises(RulesError, match=r"has no key 'denied'.*meant deny"):
        Shop(MODEL, rules=path)


def test_an_index_changes_no_answer(tmp_path: Path) -> None:
    """Rules of all kinds over 3,000 items, answered through an index and by all scores."""
    pytest.importorskip("faiss")
    model = random_model(n_items=3000)
    index = FaissIndex.build("ivf", model.items.numpy())
    index.effort = {10: index.most_effort}
    text = """
deny: [i1, i2]
hide: {category: Comedy}
boosts: [{where: {category: War}, factor: 1.5}, {where: {item: [i5, i7]}, factor: 30}]
limits: [{of: category, at_most: 6}]
diversity: {weight: 0.3, pool: 50}
"""
    rules = ShopRules(read_rules(text, "shop.yaml", strategy_names()), model)
    shops = [Shop(model, rules=rules, search=VectorSearch(model, each)) for each in (index, None)]
    for seed in range(10):
        visitor = Visitor.of_history(model, model.read(random_events(40, seed, 3000)))
        for k in (5, 20):
            through, exact = (shop.recommend(visitor, k, "interest") for shop in shops)
            assert items_of(through) == items_of(exact)


def test_a_shop_of_an_export_uses_its_index(tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    write_checked(random_served(), tmp_path / "m", index="ivf")
    shop = Shop.load(Recommender.load(tmp_path / "m"))
    assert shop.search.index is not None
    write_checked(random_served(), tmp_path / "m")
    assert Shop.load(Recommender.load(tmp_path / "m")).search.index is None


def test_a_shop_of_its_model_with_further_items(tmp_path: Path) -> None:
    model, grown = random_model(), Recommender(random_served(n_items=302))
    shop = Shop(model, rules=ShopRules(read_rules("deny: [i1, i301]", "shop.yaml", strategy_names()), model))
    shop.set_available({"i300": False})
    other = shop.of_model(grown)
    assert other.scorer is grown and other.bandit is shop.bandit
    visitor = Visitor.of_history(grown, grown.read(["i5"]))
    found = set(items_of(other.recommend(visitor, 400, "interest")))
    assert found == {f"i{number}" for number in range(302)} - {"i1", "i5", "i300", "i301"}
