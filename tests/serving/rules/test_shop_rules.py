"""Rules hold: for what may be shown, what a visitor had, and how often, whatever ranks the items."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recbole_longinterest.serving.candidates import Dense
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.rules import RulesError, ShopRules, read_rules
from recbole_longinterest.serving.rules.shop_rules import no_rules
from recbole_longinterest.serving.visitor import Visitor
from tests.served import KINDS, random_served

DAY = 86_400.0
NOW = 1.7e9


def model_of(n_items: int = 30) -> Recommender:
    served = random_served(n_items=n_items)
    about = {
        "behaviors": {"targets": ["buy"], "names": list(KINDS), "map": {"purchase": "buy"}},
        "times": {"first": 1.5e9, "median": 1.6e9, "last": 1.7e9},
    }
    return Recommender(replace(served, about=about))


def rules_of(model: Recommender, text: str, folder: Path = Path()) -> ShopRules:
    return ShopRules(read_rules(text, "shop.yaml", ("interest", "popular")), model, folder, "shop.yaml")


def shown(model: Recommender, rules: ShopRules, visitor: Visitor | None = None, **request: object) -> list[int]:
    """Which of 30 items may be shown, by their numbers."""
    visitor = visitor or Visitor.of_history(model, model.read([]), NOW)
    admission = rules.admission(visitor, **request)  # type: ignore[arg-type]
    ids, _ = Dense(np.zeros(31, dtype=np.float32), logits=True).best(31, admission)
    return sorted(int(model.served.items.tokens[item][1:]) for item in ids)


def test_without_rules_everything_may_be_shown() -> None:
    model = model_of()
    assert shown(model, no_rules(model)) == list(range(30))


def test_lists_and_conditions(tmp_path: Path) -> None:
    model = model_of()
    (tmp_path / "sold.txt").write_text("i3\n\n i4 \nunknown\n")
    (tmp_path / "items.csv").write_text("item_id,price,grown\n" + "\n".join(f"i{i},{i},{i % 2}" for i in range(29)))
    text = """
items: {file: items.csv}
out_of_stock: sold.txt
allow: [i0, i1, i2, i3, i4, i5, i6, i7, i8, i9, i29]
deny: [i2]
keep: {price: {max: 8}}
hide: {category: Comedy}
"""
    rules = rules_of(model, text, tmp_path)
    assert shown(model, rules) == [1, 5, 7, 8]
    with_adult = rules_of(model, text + "adult: {grown: true}\n", tmp_path)
    assert shown(model, with_adult) == [8]
    assert shown(model, with_adult, adult=True) == [1, 5, 7, 8]
    assert shown(model, rules, where={"price": {"min": 6}}) == [7, 8]
    assert shown(model, rules, exclude=[model.item_id("i5")]) == [1, 7, 8]


def test_a_condition_of_a_request_is_checked() -> None:
    model = model_of()
    with pytest.raises(RulesError, match="The request has 1 error: where: items have no attribute 'colour'"):
        shown(model, no_rules(model), where={"colour": "red"})
    for number in range(70):  # and the masks of many requests do not pile up
        shown(model, rules := no_rules(model), where={"category": f"c{number}"})
    assert len(rules._condition_cache) <= 64


def test_availability_by_call_wins_over_the_file() -> None:
    model = model_of()
    rules = rules_of(model, "out_of_stock: [i3, i4]")
    rules.set_available({"i4": True, "i5": False, "nobody": False})
    assert set(range(30)) - set(shown(model, rules)) == {3, 5}
    rules.set_available({"i5": True})
    assert set(range(30)) - set(shown(model, rules)) == {3}


def test_factors_multiply() -> None:
    model = model_of()
    rules = rules_of(model, "boosts: [{where: {category: Comedy}, factor: 2}, {where: {item: [i0]}, factor: 3}]")
    admission = rules.admission(Visitor.of_history(model, model.read([]), NOW))
    assert admission.boost is not None
    factors = np.exp(admission.boost)
    assert factors[1] == pytest.approx(6) and factors[4] == pytest.approx(2) and factors[2] == pytest.approx(1)


def visitor_of(model: Recommender, now: float = NOW) -> Visitor:
    """Bought i1 40 days ago, i2 10 days ago and i3 at an unknown time; viewed i4 now."""
    events = [
        Event("i1", behavior="buy", time=NOW - 40 * DAY),
        Event("i2", behavior="buy", time=NOW - 10 * DAY),
        Event("i4", behavior="view", time=NOW),
    ]
    history = model.read(events)
    untimed = model.read([Event("i3", behavior="buy")])
    both = replace(
        history,
        item_seq=np.concatenate([history.item_seq, untimed.item_seq]),
        time=np.concatenate([history.time, untimed.time]),
        behavior=np.concatenate([history.behavior, untimed.behavior]),
    )
    return Visitor.with_interest(both, None, now)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("", {1, 2, 3}),  # what is bought, as the model's target_behavior says
        ("exclude: []", set()),
        ("exclude: [{behavior: buy, days: 30}]", {2, 3}),
        ("exclude: [{behavior: purchase, days: 45}]", {1, 2, 3}),
        ("exclude: [{behavior: buy, days: 5}, {behavior: view}]", {3, 4}),
        ("exclude: [{days: 30}]", {2, 3, 4}),
        ("exclude: [{}]", {1, 2, 3, 4}),
        ("exclude: [{behavior: cart}]", set()),
    ],
)
def test_items_of_events_by_behaviour_and_age(text: str, hidden: set[int]) -> None:
    model = model_of()
    rules = rules_of(model, text)
    assert set(range(30)) - set(shown(model, rules, visitor_of(model))) == hidden


def test_without_a_clock_an_event_counts_as_new() -> None:
    model = model_of()
    rules = rules_of(model, "exclude: [{behavior: buy, days: 30}]")
    assert set(range(30)) - set(shown(model, rules, visitor_of(model, math.nan))) == {1, 2, 3}


def test_all_that_does_not_fit_the_model_is_in_one_message(tmp_path: Path) -> None:
    model = model_of()
    with pytest.raises(RulesError) as caught:
        rules_of(
            model,
            "keep: {colour: red}\nhide: {category: {min: 3}}\nlimits: [{of: item, at_most: 1}]\n"
            "exclude: [{behavior: steal}]\ndeny: nowhere.txt",
            tmp_path,
        )
    said = str(caught.value)
    assert said.startswith("shop.yaml has 5 errors: deny: nowhere.txt cannot be read")
    for part in (
        "keep[0]: items have no attribute 'colour', only item, category",
        "hide[0]: category has no numbers",
        "limits[0].of must be an attribute of items (category); got 'item'",
        "exclude[0].behavior must be among the model's (view, cart, buy); got 'steal'",
    ):
        assert part in said
    with pytest.raises(RulesError, match=r"shop.yaml has 1 error: items: The item file .*none.csv does not exist"):
        rules_of(model, "items: {file: none.csv}\nkeep: {price: {max: 3}}", tmp_path)


def test_values_that_no_item_has_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    rules_of(model_of(), "hide: [{category: Comedies}, {category: Comedy}]")
    assert caplog.messages == ["hide[0]: no item has the category Comedies."]
