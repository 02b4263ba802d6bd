"""The contract of strategies, for the built-in ones and for one that this file defines and registers."""

from collections.abc import Iterator

import numpy as np
import pytest

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.candidates import Admission, Dense, Ranking
from recbole_longinterest.serving.strategies import (
    Context,
    Shop,
    Strategy,
    Transitions,
    register_strategy,
    strategy_names,
    strategy_of,
)
from recbole_longinterest.serving.strategies.registry import STRATEGIES
from recbole_longinterest.serving.visitor import Visitor
from tests.serving.strategies.shops import events_of, model_with_texts

BUILT_IN = ["interest", "similar", "content", "together", "popular", "new"]


class Alphabet(Strategy):
    """A strategy in one file: items by their tokens."""

    def __init__(self, context: Context) -> None:
        self._number = context.scorer.n_items

    @classmethod
    def make(cls, context: Context) -> "Alphabet":
        return cls(context)

    def ranking(self, visitor: Visitor, rng: np.random.Generator) -> Ranking:
        return Dense(-np.arange(self._number + 1, dtype=np.float32), logits=True)


@pytest.fixture(autouse=True)
def alphabet() -> Iterator[None]:
    register_strategy("alphabet", Alphabet)
    yield
    STRATEGIES.remove("alphabet")


@pytest.fixture(scope="module")
def shop() -> Shop:
    model = model_with_texts()
    histories = [model.reader.read(events_of(30, seed)).item_seq for seed in range(20)]
    return Shop(model, followers=Transitions.from_histories(histories, model.n_items + 1), seed=0)


@pytest.mark.parametrize("name", [*BUILT_IN, "alphabet"])
def test_the_contract(shop: Shop, name: str) -> None:
    """Any visitor, any admission: known items, each once, best first, and the same for the same draws."""
    model, strategy = shop.scorer, shop.strategy(name)
    rng = np.random.default_rng(0)
    allowed = rng.random(model.n_items + 1) < 0.4
    for number in (0, 1, 40):
        visitor = Visitor.of_history(model, model.reader.read(events_of(number)))
        ranking = strategy.ranking(visitor, np.random.default_rng(1))
        if ranking is None:
            assert number == 0
            continue
        ids, scores = ranking.best(20, Admission(allowed, hidden=np.array([3, 4])))
        assert len(set(ids.tolist())) == len(ids) and (np.diff(scores) <= 0).all() and np.isfinite(scores).all()
        assert allowed[ids].all() and not {0, 3, 4} & set(ids.tolist())
        again = strategy.ranking(visitor, np.random.default_rng(1))
        assert again is not None and again.best(20)[0].tolist() == ranking.best(20)[0].tolist()
        answer = shop.recommend(visitor, 5, name)
        assert {item.strategy for item in answer.items} <= {name}


def test_names() -> None:
    assert strategy_names()[:6] == BUILT_IN and "alphabet" in strategy_names()
    assert strategy_of("alphabet") is Alphabet
    with pytest.raises(LongInterestError, match=r"strategy must be one of interest, similar, .*; got 'magic'"):
        strategy_of("magic")


def test_what_is_no_strategy_and_names_that_mean_something() -> None:
    with pytest.raises(LongInterestError, match="The strategy x must be a subclass of Strategy; got 3"):
        register_strategy("x", 3)  # type: ignore[arg-type]
    with pytest.raises(LongInterestError, match="A strategy must not be called bandit or mix; got 'mix'"):
        register_strategy("mix", Alphabet)
    with pytest.raises(LongInterestError, match="register_strategy: the name 'new' is taken"):
        register_strategy("new", Alphabet)


def test_a_registered_strategy_takes_part_in_a_mix(shop: Shop, tmp_path: object) -> None:
    from recbole_longinterest.serving.rules import ShopRules, read_rules

    settings = read_rules("mix: [{shares: {alphabet: 1}}]", "shop.yaml", strategy_names())
    own = Shop(shop.scorer, rules=ShopRules(settings, shop.scorer))
    answer = own.recommend(Visitor.of_history(shop.scorer, shop.scorer.reader.read([])), 3)
    assert [(item.item, item.strategy) for item in answer.items] == [(f"i{i}", "alphabet") for i in range(3)]
