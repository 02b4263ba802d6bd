"""Item texts: values as they stand in the file, and what is said of a file that cannot be read."""

import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_longinterest.common.atomic_files import ItemFileError
from recbole_longinterest.text.reader import read_item_text
from tests.conftest import real_data
from tests.text.conftest import TITLES

HEADER = "item_id:token\ttitle:token_seq\tclass:token_seq\tyear:token\n"
Write = Callable[..., Path]


def test_values_become_sentences_in_the_order_of_the_fields(write_item: Write) -> None:
    path = write_item(HEADER + "1\tToy  Story \tAnimation Comedy\t1995\n2\tHelp!\t\t1965\n3\tWho?\tDrama\t\n")
    assert read_item_text(path, "item_id", ["title", "class", "year"]) == {
        "1": "Toy Story. Animation Comedy. 1995",
        "2": "Help! 1965",
        "3": "Who? Drama",
    }
    assert read_item_text(path, "item_id", ["year", "title"])["1"] == "1995. Toy Story"


@pytest.mark.parametrize(
    "title", ['"Great Performances" Cats', '"', "Null", "NA", "nan", "None", "", "it's", "a\u2028b", "a\rb"]
)
def test_a_title_is_read_as_it_stands(write_item: Write, title: str) -> None:
    texts = read_item_text(write_item(f"{HEADER}1\t{title}\t\t\n2\tHeat\t\t\n"), "item_id", ["title"])
    expected = {"1": " ".join(title.split())} if title else {}
    assert texts == {**expected, "2": "Heat"}


@pytest.mark.parametrize("title", [*TITLES, " ", "\u3000\u00a0"], ids=lambda title: title[:12])
def test_titles_of_all_kinds(write_item: Write, title: str) -> None:
    texts = read_item_text(write_item(f"{HEADER}1\t{title}\t\t\n2\tHeat\t\t\n"), "item_id", ["title"])
    text = " ".join(title.split())
    assert texts == {**({"1": text} if text else {}), "2": "Heat"}
    other = f"item_id:token|title:token\n1|{title}\ttab|\n".replace("|\n", "\n")
    texts = read_item_text(write_item(other), "item_id", ["title"], field_separator="|")
    assert texts == {"1": f"{text} tab".strip()}


def test_the_first_row_of_an_item_counts(write_item: Write) -> None:
    path = write_item(HEADER + "1\tHeat\t\t\n1\tOther\t\t\n2\t\t\t\n2\tToo late\t\t\n")
    assert read_item_text(path, "item_id", ["title"]) == {"1": "Heat"}


def test_windows_file_with_mark_and_blank_last_lines(write_item: Write) -> None:
    content = b"\xef\xbb\xbf" + (HEADER + "1\tHeat\tCrime\t1995\n\n\n").replace("\n", "\r\n").encode()
    assert read_item_text(write_item(content), "item_id", ["title", "year"]) == {"1": "Heat. 1995"}


def test_last_line_without_an_end(write_item: Write) -> None:
    assert read_item_text(write_item(HEADER + "1\tHeat\t\t"), "item_id", ["title"]) == {"1": "Heat"}


def test_separators_and_encoding(write_item: Write) -> None:
    content = "item_id:token,title:token,tags:token_seq\n1,Amélie,slow|french |\n2,a|b,\n".encode("latin-1")
    texts = read_item_text(
        write_item(content), "item_id", ["title", "tags"], field_separator=",", seq_separator="|", encoding="latin-1"
    )
    assert texts == {"1": "Amélie. slow, french", "2": "a|b"}


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n"), max_size=20)


@given(st.dictionaries(st.text("ab0\"'", min_size=1, max_size=6), TEXT, max_size=8))
def test_round_trip(titles: dict[str, str]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.item"
        rows = "".join(f"{item}\t{title}\n" for item, title in titles.items())
        path.write_bytes(f"item_id:token\ttitle:token\n{rows}".encode())
        read = read_item_text(path, "item_id", ["title"])
    assert read == {item: " ".join(title.split()) for item, title in titles.items() if title.strip()}


@pytest.mark.parametrize(
    ("content", "fields", "message"),
    [
        (HEADER, [], "text_fields names no column"),
        (
            HEADER,
            ["plot"],
            r"has no column plot, named in text_fields or text_template; its columns are: item_id, title, class, year",
        ),
        ("title:token\nHeat\n", ["title"], "has no column item_id, the ITEM_ID_FIELD; its columns are: title"),
        ("", ["title"], "has no column item_id, the ITEM_ID_FIELD; its columns are: none"),
        (HEADER + "1\tHeat\t\t\n2\tHeat\n", ["title"], r"data.item, line 3: 2 columns where the header has 4"),
        ("item_id\ttitle\n1\tHeat\n", ["title"], "header must be name:type .* got 'item_id'"),
        ("item_id:token,title:token\n1,Heat\n", ["title"], "set field_separator to the separator of the columns"),
        (HEADER.encode() + b"1\tAm\xe9lie\t\t\n", ["title"], r"encoding utf-8: .*Set the key encoding"),
    ],
)
def test_bad_files(write_item: Write, content: str | bytes, fields: list[str], message: str) -> None:
    with pytest.raises(ItemFileError, match=message):
        read_item_text(write_item(content), "item_id", fields)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ItemFileError, match=r"no file .*x\.item; .* Add it or set text_features: off"):
        read_item_text(tmp_path / "x.item", "item_id", ["title"])


def test_no_such_encoding(write_item: Write) -> None:
    with pytest.raises(ItemFileError, match=r"encoding utf-88: .*Set the key encoding"):
        read_item_text(write_item(HEADER), "item_id", ["title"], encoding="utf-88")


def test_twelve_thousand_rows_take_well_under_a_second(write_item: Write) -> None:
    header = "item_id:token\t" + "\t".join(f"f{i}:token_seq" for i in range(5)) + "\n"
    path = write_item(header + "".join(f"{i}\t" + "\t".join(["some words of text"] * 5) + "\n" for i in range(12_000)))
    start = time.process_time()
    assert len(read_item_text(path, "item_id", [f"f{i}" for i in range(5)])) == 12_000
    assert time.process_time() - start < 1


def test_bundled_movielens() -> None:
    spec = find_spec("recbole")
    assert spec is not None and spec.origin is not None
    path = Path(spec.origin).parent / "dataset_example" / "ml-100k" / "ml-100k.item"
    texts = read_item_text(path, "item_id", ["movie_title", "class", "release_year"])
    assert len(texts) == 1682 and texts["1"] == "Toy Story. Animation Children's Comedy. 1995"


@pytest.mark.parametrize(
    ("name", "fields", "items", "item", "text"),
    [
        ("ml-latest-small", ["title", "release_year"], 9742, "1", "Toy Story. 1995"),
        (
            "amazon-beauty-5core-norating",
            ["title", "brand"],
            12_094,  # of 12,101: seven have neither title nor brand
            "9759091062",
            "Xtreme Brite Brightening Gel 1oz. Xtreme Brite",
        ),
    ],
)
def test_real_files(name: str, fields: list[str], items: int, item: str, text: str) -> None:
    texts = read_item_text(real_data(name) / name / f"{name}.item", "item_id", fields)
    assert len(texts) == items and texts[item] == text
