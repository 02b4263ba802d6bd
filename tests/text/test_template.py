"""Templates: what belongs to a part that is missing goes with it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_longinterest.text.template import Template, TemplateError


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        ("{title} by {brand}", ["Heat", "Acme"], "Heat by Acme"),
        ("{title} by {brand}", ["Heat", ""], "Heat"),
        ("{title} by {brand}", ["", "Acme"], "Acme"),
        ("{title} by {brand}", ["", ""], ""),
        ("{title} by {brand}, {year}", ["Heat", "", "1995"], "Heat, 1995"),
        ("{title} by {brand}, {year}", ["Heat", "Acme", ""], "Heat by Acme"),
        ("{title} by {brand}, {year}", ["", "", "1995"], "1995"),
        ("{title} ({year}), {brand}", ["Heat", "1995", "Acme"], "Heat (1995), Acme"),
        ("{title} ({year}), {brand}", ["Heat", "", "Acme"], "Heat, Acme"),
        ("{title} ({year}), {brand}", ["Heat", "1995", ""], "Heat (1995)"),
        ("{title} ({year}), {brand}", ["", "1995", ""], "(1995)"),
        ("Title: {title}. Brand: {brand}.", ["Heat", "Acme"], "Title: Heat. Brand: Acme."),
        ("Title: {title}. Brand: {brand}.", ["Heat", ""], "Title: Heat."),
        ("Title: {title}. Brand: {brand}.", ["", "Acme"], "Brand: Acme."),
        ("Title: {title}. Brand: {brand}.", ["Help!", "Acme Inc."], "Title: Help! Brand: Acme Inc."),
        ("{title}。品牌：{brand}", ["霸王别姬", "华谊"], "霸王别姬。品牌：华谊"),  # noqa: RUF001
        ("{title}。品牌：{brand}", ["霸王别姬", ""], "霸王别姬"),  # noqa: RUF001
        ("The film {title} of {year}", ["", "1995"], "The film 1995"),
        ("The film {title} of {year}", ["", ""], ""),
        ("{{{title}}} {title}", ["Heat", "Heat"], "{Heat} Heat"),
        ("{title}", ["by {brand} 100% \\ $1"], "by {brand} 100% \\ $1"),
    ],
)
def test_fill(template: str, values: list[str], text: str) -> None:
    assert Template(template).fill(values) == text


def test_fields_in_order() -> None:
    assert Template("{title} by {brand} {title}").fields == ["title", "brand", "title"]
    assert Template("{movie title:}".replace(":", "")).fields == ["movie title"]


@pytest.mark.parametrize(
    "wrong", ["", "no column", "{}", "{title", "title}", "{title!r}", "{title:>10}", 7, ["title"], "{title} {}"]
)
def test_what_is_no_template(wrong: object) -> None:
    with pytest.raises(
        TemplateError, match=r"text_template must be text with columns .* in braces, such as '\{title\} by"
    ):
        Template(wrong)  # type: ignore[arg-type]


LITERAL = st.text("ab .,:()-", max_size=6)


@given(st.lists(LITERAL, min_size=4, max_size=4))
def test_values_are_never_lost_or_made_up(literals: list[str]) -> None:
    template = Template("{x}".join(literals))
    for values in itertools.product(["", "1"], ["", "2"], ["", "3"]):
        text = template.fill(values)
        assert [mark for mark in text if mark in "123"] == [value for value in values if value]
        assert text == text.strip() and (text == "") == (not any(values))
    whole = "".join(part for pair in zip(literals, ["1", "2", "3", ""], strict=True) for part in pair)
    assert template.fill(["1", "2", "3"]) == whole.strip()
