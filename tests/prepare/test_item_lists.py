"""A category of several words is one token, and lists are lists, however they are written."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from recbole_longinterest.prepare.item_lists import as_list, find_separator, is_category

COLUMNS = ("--user", "u", "--item", "i", "--time", "t")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('["Home & Garden", "Toys"]', ["Home & Garden", "Toys"]),
        ("['Home & Garden', 'Toys']", ["Home & Garden", "Toys"]),
        ("('a b', 'c')", ["a b", "c"]),
        ("{'a b'}", ["a b"]),
        ("['a b' 'c']", ["a b", "c"]),
        ("[[1, 2], [2]]", ["1", "2", "2"]),
        ('{"a b",c}', ["a b", "c"]),
        ("[{'id': 28, 'name': 'Sci Fi'}, {'id': 1, 'name': 'Action'}]", ["Sci Fi", "Action"]),
        ("[]", []),
        ('["a", null]', ["a"]),
        ("[Sealed]", None),
        ("[Note] great", None),
        ("Toys", None),
        ("", None),
        ("__import__('os')", None),
        ("[__import__('os').getcwd()]", None),
        ("{'name': 'x'}", None),
    ],
)
def test_written_lists(text: str, parts: list[str] | None) -> None:
    assert as_list(text) == parts


@pytest.mark.parametrize(
    ("values", "separator"),
    [
        (["Action|Sci Fi", "Drama"], "|"),
        (["Action, Comedy", "Comedy, Drama", "Action"], ","),
        (["a b; c", "c; d", "d"], ";"),
        (["Home & Garden", "Toys"], None),
        (["Clothing, Shoes & Jewelry", "Books, Movies & TV", "Toys"], None),
        (["Foo, Inc", "Bar, Inc", "Baz, Inc"], None),
        (["AC/DC", "a-b"], None),
        ([], None),
    ],
)
def test_separators_are_found_where_parts_are_used_again(values: list[str], separator: str | None) -> None:
    assert find_separator(values, declared=True) == separator == find_separator(values * 3, declared=False)


def test_a_long_text_is_no_list() -> None:
    texts = [f"A sentence about the item number {n}, as long as sentences are; another one" for n in range(20)]
    assert find_separator(texts, declared=False) is None


@pytest.mark.parametrize("name", ["category", "Categories", "genre", "main_category", "category_name", "cat1", "tags"])
def test_names_of_categories(name: str) -> None:
    assert is_category(name, ["x"])


@pytest.mark.parametrize("name", ["title", "name", "catalogue", "description", "classic"])
def test_names_of_texts(name: str) -> None:
    assert not is_category(name, ["x", "y", "z"])


def log(folder: Path, rows: list[dict[str, object]], suffix: str = ".jsonl") -> Path:
    rows = [{"u": f"u{at}", "i": f"i{at}", "t": 1_600_000_000 + at, **row} for at, row in enumerate(rows)]
    path = folder / f"log{suffix}"
    if suffix == ".parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("arguments", [("--text", "name,cat"), ("--text", "name", "--category", "cat")])
def test_a_category_of_several_words_is_one_token(prepare: Callable, tmp_path: Path, arguments: tuple) -> None:
    rows = [{"name": "Red mug", "cat": "Home & Garden"}, {"name": "Ball", "cat": "Toys"}]
    done = prepare("csv", log(tmp_path, rows), *COLUMNS, *arguments)
    head = (done.folder / "raw.item").read_text().splitlines()[0]
    assert head == "item_id:token\tname:token_seq\tcat:token"
    assert [row["cat"] for row in done.rows("item")] == ["Home & Garden", "Toys"]
    assert done.report()["item_columns"] == {"cat": "one value per item"} and "one value per item" in done.out
    config = (done.output / "dataset_configs" / "raw.yaml").read_text()
    assert "text_fields: [name, cat]\n" in config and "seq_separator" not in config
    assert ("category_field: cat " in config) == ("--category" in arguments)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize(
    "cats",
    [
        (["Home & Garden", "Toys"], ["Toys"]),
        ('["Home & Garden", "Toys"]', '["Toys"]'),
        ("['Home & Garden', 'Toys']", "['Toys']"),
        ("Home & Garden|Toys", "Toys"),
    ],
)
def test_lists_keep_their_values(prepare: Callable, tmp_path: Path, cats: tuple, suffix: str) -> None:
    rows = [{"name": name, "cat": cat} for name, cat in zip(("mug", "ball"), cats, strict=True)]
    done = prepare("csv", log(tmp_path, rows, suffix), *COLUMNS, "--text", "name", "--category", "cat")
    assert [row["cat"] for row in done.rows("item")] == ["Home & Garden|Toys", "Toys"]
    assert (done.folder / "raw.item").read_text().splitlines()[0].endswith("cat:token_seq")
    assert "seq_separator: '|'" in (done.output / "dataset_configs" / "raw.yaml").read_text()
    assert done.report()["item_columns"]["cat"].startswith("lists")


def test_the_separator_of_the_file_stands_in_no_value(prepare: Callable, tmp_path: Path) -> None:
    rows = [{"name": "a | b", "cat": ["x y", "z;"]}, {"name": "c", "cat": ["z;"]}]
    done = prepare("csv", log(tmp_path, rows), *COLUMNS, "--text", "name", "--category", "cat")
    assert [row["cat"] for row in done.rows("item")] == ["x y\u00a6z;", "z;"]
    assert done.rows("item")[0]["name"] == "a | b"


def test_lists_of_single_words_are_separated_by_spaces(prepare: Callable, tmp_path: Path) -> None:
    rows = [{"name": "mug", "genres": "Action|Comedy"}, {"name": "ball", "genres": "Drama"}]
    done = prepare("csv", log(tmp_path, rows), *COLUMNS, "--text", "name,genres")
    assert [row["genres"] for row in done.rows("item")] == ["Action Comedy", "Drama"]


def test_a_separator_that_is_asked_for(prepare: Callable, tmp_path: Path) -> None:
    rows = [{"name": "a/b", "cat": "Home & Garden/Toys"}, {"name": "c", "cat": "Toys|Games"}]
    arguments = (*COLUMNS, "--text", "name", "--category", "cat")
    done = prepare("csv", log(tmp_path, rows), *arguments, "--category-separator", "/")
    assert [row["cat"] for row in done.rows("item")] == ["Home & Garden;Toys", "Toys|Games"]
    assert done.rows("item")[0]["name"] == "a/b"
    single = prepare("csv", log(tmp_path, rows), *arguments, "--category-separator", "none", name="single")
    assert [row["cat"] for row in single.rows("item")] == ["Home & Garden/Toys", "Toys|Games"]
    error = prepare("csv", log(tmp_path, rows), *COLUMNS, "--text", "name", "--category-separator", "/", fails=True).err
    assert "--category-separator needs --category" in error


def test_a_title_is_text_and_a_lone_category_is_none(prepare: Callable, tmp_path: Path) -> None:
    rows = [{"name": f"Item | no. {at}", "category": "Home & Garden"} for at in range(4)]
    done = prepare("csv", log(tmp_path, rows), *COLUMNS, "--text", "name")
    assert done.report()["item_columns"] == {} and done.rows("item")[0]["name"] == "Item | no. 0"
    done = prepare("csv", log(tmp_path, rows), *COLUMNS, "--text", "category", name="only")
    assert (done.folder / "only.item").read_text().splitlines()[:2] == [
        "item_id:token\tcategory:token",
        "i0\tHome & Garden",
    ]


def test_a_possible_separator_is_pointed_out(prepare: Callable, tmp_path: Path) -> None:
    rows = [{"name": "mug", "cat": "Clothing, Shoes & Jewelry"}, {"name": "ball", "cat": "Toys"}]
    done = prepare("csv", log(tmp_path, rows), *COLUMNS, "--text", "name", "--category", "cat")
    assert "one value per item; some hold ,: if they are lists, name it with --category-separator" in done.out


def test_a_category_may_be_named_among_the_texts_too(prepare: Callable, tmp_path: Path) -> None:
    rows = [{"name": "mug", "cat": "a b;NULL;c"}, {"name": "ball", "cat": "Toys"}]
    done = prepare("csv", log(tmp_path, rows), *COLUMNS, "--text", "cat,name", "--category", "cat")
    assert [row["cat"] for row in done.rows("item")] == ["a b|c", "Toys"]
    assert "text_fields: [name, cat]\n" in (done.output / "dataset_configs" / "raw.yaml").read_text()
