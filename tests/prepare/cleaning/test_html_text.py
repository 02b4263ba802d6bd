"""Shops' texts without their HTML, and titles that are none."""

from collections import Counter

import pytest

from recbole_longinterest.prepare.cleaning.html_text import is_page_fragment, plain_text
from recbole_longinterest.prepare.cleaning.shop_values import price_of, words_of


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Salt &amp; Pepper", "Salt & Pepper"),
        ("5&amp;quot; blade", '5" blade'),
        ("<b>Bold</b> and<br/>broken", "Bold and broken"),
        ("a < b and c > d", "a < b and c > d"),
        ("I <3 you", "I <3 you"),
        ("x<script>alert('1')</script>y <!-- note -->z", "x y z"),
        ("</span></span>", ""),
        ("&lt;p&gt;x&lt;/p&gt;", "x"),
        ("R&D", "R&D"),
    ],
)
def test_plain_text(raw: str, text: str) -> None:
    assert plain_text(raw) == text


@pytest.mark.parametrize(
    "title",
    [
        "var aPageStart = (new Date()).getTime();",
        "(function(f) {var _np=(window.P._namespace)})",
        ".a-section { margin: 0; }",
        "<style type='text/css'>",
        "&lt;script&gt;",
        "<!DOCTYPE html>",
    ],
)
def test_pieces_of_a_page(title: str) -> None:
    assert is_page_fragment(title)


@pytest.mark.parametrize(
    "title",
    [
        "Form & Function (Deluxe Edition)",
        "Document.exe: A Thriller",
        "Windows 7",
        "The <b>Best</b> Of",
        "C++ {in} 21 Days",
    ],
)
def test_titles_that_only_look_like_it(title: str) -> None:
    assert not is_page_fragment(title)


@pytest.mark.parametrize(
    ("value", "price"),
    [
        *((19.99, "19.99"), (5, "5"), ("$1,234.50", "1234.50"), ("$5.00 - $9.99", "5.00"), ("from 12.99", "12.99")),
        *((None, ""), ("", ""), ("\u2014", ""), (float("nan"), ""), (-1, ""), ("Third-party", ""), ("Free", "0")),
        (1234567.89, "1234567.89"),
    ],
)
def test_prices(value: object, price: str) -> None:
    changed: Counter[str] = Counter()
    assert price_of(value, changed, frozenset({"free"})) == price
    assert sum(changed.values()) == (price == "" and value not in (None, ""))


def test_words_of_lists_come_once() -> None:
    assert words_of([["Beauty", "Hair"], ["Beauty", "<i>Gel</i>"], None, 3]) == "Beauty Hair Gel"
