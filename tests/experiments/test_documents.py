"""A report as Markdown and as HTML."""

import xml.etree.ElementTree
from pathlib import Path

from recbole_longinterest.experiments.documents import Heading, Image, Table, latex_text, markdown, page


def tree_of(html: str) -> xml.etree.ElementTree.Element:
    """The page as XML: its meta elements have no end."""
    lines = [line for line in html.splitlines()[1:] if not line.startswith("<meta")]
    return xml.etree.ElementTree.fromstring("\n".join(line + ("</img>" if "<img" in line else "") for line in lines))


def test_tables_are_written_in_three_ways() -> None:
    table = Table(["model", "a_b"], [["one", "1 %"], ["two | x", "2 <"]], "one", frozenset([1]))
    assert "| **one** | **1 %** |" in markdown([table]) and "two \\| x" in markdown([table])
    tree = tree_of(page([table], "A & B"))
    assert tree.find("head/title").text == "A & B"  # type: ignore[union-attr]
    assert [cell.text for cell in tree.iter("td")] == ["one", "1 %", "two | x", "2 <"]
    assert [row.get("class") for row in tree.iter("tr")] == [None, "best", "faint"]
    assert latex_text("a_b < 1 %") == r"a\_b $<$ 1 \%"
    assert "| **one** |  |" in markdown([Table(["model", "a"], [["one", ""]], "one")])


def test_headings_are_in_the_contents_and_lead_to_their_places() -> None:
    tree = tree_of(page([Heading("All", 1), Heading("A, b"), Heading("c", 3), Heading("a  B")], "t"))
    links = [(link.get("href"), link.text) for link in tree.iter("a")]
    assert links == [("#a-b", "A, b"), ("#c", "c"), ("#a-b-", "a  B")]
    assert {f"#{each.get('id')}" for each in tree.iter() if each.tag in ("h2", "h3")} == {link for link, _ in links}


def test_pictures_are_embedded_and_are_turned_dark_where_dark_is_preferred(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"light")
    html = page([Image(tmp_path / "a.png", "one")], "t")
    assert "data:image/png;base64,bGlnaHQ=" in html and "(prefers-color-scheme: dark) { img { filter: invert" in html
    assert markdown([Image(tmp_path / "a.png", "one")]) == "![one](a.png)\n"
