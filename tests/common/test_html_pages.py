"""Pages are filled from templates of the package, with every value escaped."""

import subprocess
import sys
from html.parser import HTMLParser

import jinja2
import pytest

from recbole_longinterest.common.html_pages import render_page
from recbole_longinterest.experiments.documents import Heading, Points, Table, Text, page

VOID = {"meta", "img", "line", "polyline"}


class Balance(HTMLParser):
    """Fails at an element that is closed twice, in another order, or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_values_are_escaped_and_elements_are_closed() -> None:
    bad = "<script>alert('x')</script> & \"y\""
    text = page([Heading(bad, 1), Text(bad), Points([bad]), Table([bad], [[bad]], bad)], bad)
    assert "<script" not in text and text.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp;") == 6
    parser = Balance()
    parser.feed(text)
    assert not parser.open and '<tr class="best">' in text


def test_a_forgotten_value_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="'title' is undefined"):
        render_page("recbole_longinterest.experiments", "report.html.j2", {"blocks": []})


def test_jinja_is_imported_only_for_a_page() -> None:
    code = (
        "import sys; from recbole_longinterest.experiments.documents import page\n"
        "from recbole_longinterest.serving.explain import page as explain_page\n"
        "assert 'jinja2' not in sys.modules\n"
        "page([], 'x')\n"
        "assert 'jinja2' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
