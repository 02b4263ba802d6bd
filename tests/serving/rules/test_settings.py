"""The yaml of rules: read whole, and refused whole, with all errors in one message."""

import math
from pathlib import Path

import pytest
import yaml

from recbole_longinterest.serving.rules.conditions import Check, Condition
from recbole_longinterest.serving.rules.settings import (
    Boost,
    Diversity,
    Exclude,
    Limit,
    MixRule,
    RulesError,
    RuleSettings,
    Tokens,
    read_rules,
)

STRATEGIES = ("interest", "similar", "popular", "new")
DOCS = Path(__file__).parents[3] / "docs" / "strategies.md"


def read(text: str) -> RuleSettings:
    return read_rules(text, "shop.yaml", STRATEGIES)


def test_every_key_is_read() -> None:
    found = read("""
items: {file: items.parquet, item: sku}
out_of_stock: sold_out.txt
allow: [1, "b"]
deny: [c]
keep: {price: {max: 20}}
hide: [{category: [War, Horror]}, {brand: {not: [Acme]}, price: {min: 5}}]
adult: {is_adult: true}
boosts: [{where: {category: Toys}, factor: 1.5}]
limits: [{of: category, at_most: 2}]
diversity: {weight: 0.3, pool: 50}
exclude: [{behavior: buy, days: 30}, {behavior: [hide, report]}, {days: 1}]
mix:
  - {events: 0, shares: {popular: 1}}
  - {events: {min: 1, max: 3}, shares: {similar: 0.9, new: 0.1}}
  - {shares: {bandit: 0.9, new: 0.1}, bandit: [interest, similar]}
""")
    war = Condition((Check("category", ("War", "Horror")),))
    acme = Condition((Check("brand", ("Acme",), without=True), Check("price", low=5)))
    assert found == RuleSettings(
        items_file="items.parquet",
        items_column="sku",
        out_of_stock=Tokens(file="sold_out.txt"),
        allow=Tokens(("1", "b")),
        deny=Tokens(("c",)),
        keep=(Condition((Check("price", high=20),)),),
        hide=(war, acme),
        adult=Condition((Check("is_adult", ("true",)),)),
        boosts=(Boost(Condition((Check("category", ("Toys",)),)), 1.5),),
        limits=(Limit("category", 2),),
        diversity=Diversity(0.3, 50),
        exclude=(Exclude(("buy",), 30), Exclude(("hide", "report")), Exclude((), 1)),
        mix=(
            MixRule(0, 0, {"popular": 1}),
            MixRule(1, 3, {"similar": 0.9, "new": 0.1}),
            MixRule(0, math.inf, {"bandit": 0.9, "new": 0.1}, ("interest", "similar")),
        ),
    )


def test_an_empty_file_has_no_rules() -> None:
    assert read("") == read("# nothing yet\n") == RuleSettings()
    assert read("exclude: []").exclude == ()  # which is another thing than no key: nothing is excluded


def test_all_errors_are_in_one_message() -> None:
    with pytest.raises(RulesError) as caught:
        read("""
limits: [{of: category, at_most: 0}]
diversity: {weight: 2}
boost: []
mix: [{shares: {interrest: 1}}]
""")
    said = str(caught.value)
    assert said.startswith("shop.yaml has 4 errors: ")
    for part in (
        "the file has no key 'boost': it takes items, ",
        "(meant boosts?)",
        "limits[0].at_most must be a whole number of at least 1; got 0",
        "diversity.weight must be a number from 0 to 1; got 2",
        "mix[0].shares has no key 'interrest': it takes interest, similar, popular, new, bandit (meant interest?)",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "the file must be a mapping"),
        ("a: [", "shop.yaml is not valid yaml"),
        ("items: {item: sku}", "items must be a mapping with file"),
        ("items: {file: 3}", "items.file must be a text; got 3"),
        ("deny: {a: b}", "deny must be a list of item tokens, or the path of a file"),
        ("deny: [[a]]", "deny must be a text, a number, or a list of these"),
        ("keep: 3", "keep must be a list; got 3"),
        ("keep: [3]", "keep[0] must be a mapping; got 3"),
        ("keep: [{}]", "keep[0] must be a condition on at least one attribute"),
        ("keep: {price: {above: 3}}", "keep[0].price has no key 'above': it takes min, max, not"),
        ("keep: {price: {min: 3, max: 1}}", "keep[0].price must be a min below its max"),
        ("keep: {price: {min: 3, not: [1]}}", "keep[0].price must be values, {min: , max: } or {not: values}"),
        ("keep: {price: {max: cheap}}", "keep[0].price.max must be a number"),
        ("keep: {price: []}", "keep[0].price must be a text, a number, or a list of these; got []"),
        ("boosts: [{factor: 2}]", "boosts[0].where must be a mapping; got None"),
        ("boosts: [{where: {a: b}, factor: 0}]", "boosts[0].factor must be a number from 1e-06 to 1e+06; got 0"),
        ("limits: [{at_most: 1}]", "limits[0].of must be a text; got None"),
        ("limits: [{of: category, at_most: true}]", "limits[0].at_most must be a whole number of at least 1; got True"),
        ("diversity: {weight: .1, pool: 1}", "diversity.pool must be a whole number from 2 to 10000; got 1"),
        ("exclude: [{days: -1}]", "exclude[0].days must be a number of at least 0; got -1"),
        ("mix: [{events: -1, shares: {new: 1}}]", "mix[0].events must be a mapping with min, max; got -1"),
        ("mix: [{events: {min: 3, max: 2}, shares: {new: 1}}]", "mix[0].events.max must be a whole number of at least"),
        ("mix: [{}]", "mix[0].shares must be a mapping"),
        ("mix: [{shares: {new: 0}}]", "mix[0].shares must be numbers with at least one above 0"),
        ("mix: [{shares: {bandit: 1}}]", "mix[0] must have both the list bandit and the share bandit, or neither"),
        ("mix: [{bandit: [magic]}]", "mix[0].bandit must be names among interest, similar, popular, new; got 'magic'"),
    ],
)
def test_what_a_value_must_be_is_said(text: str, message: str) -> None:
    with pytest.raises(RulesError) as caught:
        read(text)
    assert message in str(caught.value)


def test_yaml_that_repeats_itself_without_end_is_refused() -> None:
    bomb = "a: &a [1, 1]\n" + "\n".join(f"k{i}: &k{i} [*{'a' if not i else f'k{i - 1}'}, x, x]" for i in range(70))
    with pytest.raises(RulesError, match="is not valid yaml"):
        read(bomb)


def test_the_example_of_the_docs_is_whole() -> None:
    block = DOCS.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    found = read_rules(block, "docs", ("interest", "similar", "content", "together", "popular", "new"))
    assert set(yaml.safe_load(block)) == {
        *("items", "out_of_stock", "allow", "deny", "keep", "hide", "adult", "boosts", "limits", "diversity"),
        *("exclude", "mix"),
    }
    assert found.mix and found.adult
