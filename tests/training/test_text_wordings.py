"""Wordings of an item's text: their settings, and templates of the same columns."""

from recbole_longinterest.text.template import columns_of
from recbole_longinterest.training.text_wordings import Wording, with_templates, wording_of

RULES = {"list_price": [10, 50], "year": 10}
VALUES = {"title": "Lamp", "brand": "Acme", "list_price": "7", "year": "1995"}


def text_of(wording: Wording) -> str:
    """The text that the wording's settings make."""
    settings = wording.settings(RULES)
    columns, join = columns_of(settings["text_fields"], settings["text_template"], settings["text_numbers"])
    return (join or ". ".join)([VALUES[name] for name in columns])


def test_templates_of_the_same_columns() -> None:
    wording = Wording(("title",)) + Wording(("brand",)) + Wording(("list_price",), ("list_price",)) + Wording(("year",))
    assert str(wording) == "title, brand, list_price in words, year"
    labelled, phrase = with_templates(wording)
    assert str(phrase) == "{title}, brand {brand}, {list_price}, year {year} (list_price in words)"
    assert [text_of(each) for each in (wording, labelled, phrase)] == [
        "Lamp. Acme. low list price. 1995",
        "title: Lamp. brand: Acme. list price: low list price. year: 1995",
        "Lamp, brand Acme, low list price, year 1995",
    ]
    assert with_templates(Wording(("title",))) == [] == with_templates(Wording(("title", "a}b")))


def test_the_wording_of_a_config_has_its_own_settings() -> None:
    empty = {"text_fields": None, "text_template": None, "text_numbers": None}
    assert wording_of(empty) is None
    for own in (
        {"text_fields": ["title", "year"], "text_numbers": {"year": 10}},
        {"text_template": "{title} ({year})", "text_numbers": {"year": 10}},
        {"text_template": "{title} ({year})"},
    ):
        config = {**empty, **own}
        wording = wording_of(config)
        assert wording is not None and wording.columns == ("title", "year")
        assert wording.settings(RULES) == config
