"""Whatever a text or an id holds: RecBole loads the file, and both readers return the same strings."""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from recbole.config import Config
from recbole.data.dataset import Dataset

from recbole_longinterest.data.log_reader import read_columns
from recbole_longinterest.prepare.cleaning.escaping import (
    MAX_TEXT,
    MISSING_WORDS,
    cut_text,
    safe_id,
    safe_ids,
    safe_text,
    text_cell,
)
from recbole_longinterest.text.reader import read_item_text

ANY = st.text(st.characters(exclude_categories=()), max_size=30)  # surrogates and controls too
NASTY = st.one_of(
    ANY,
    st.sampled_from(sorted(MISSING_WORDS)),
    st.text(st.sampled_from("\"\t\n\r\0 ,'\\a\ud800\u2028\x85%"), max_size=8),
)


def test_the_words_are_pandas_own() -> None:
    from pandas._libs.parsers import STR_NA_VALUES

    assert set(STR_NA_VALUES) == MISSING_WORDS


@functools.cache
def pop_config() -> Config:
    """Made once: reading its settings takes longer than reading a small data set."""
    return Config("Pop", "x", config_dict={"load_col": None, "state": "ERROR"})


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(NASTY.filter(lambda text: text.strip()), st.tuples(NASTY, NASTY), min_size=1, max_size=6))
@example({"a": ('"Great', "NA"), "NA": ("null", '"')})
@example({'"a"': ('"', "\ud800"), "\u2003b": ("\u2003", "")})
def test_recbole_and_our_reader_return_the_same_strings(items: dict[str, tuple[str, str]]) -> None:
    ids = [safe_id(raw) for raw in items]
    texts = [[safe_text(text) for text in pair] for pair in items.values()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.mkdir()
        head = "user_id:token\titem_id:token\ttimestamp:float\n"
        inter = head + "".join(f"{item}\t{item}\t{at}\n" for at, item in enumerate(ids))
        (path / "x.inter").write_bytes(inter.encode())
        rows = ["\t".join([item, *map(text_cell, pair)]) + "\n" for item, pair in zip(ids, texts, strict=True)]
        (path / "x.item").write_bytes(("item_id:token\ta:token_seq\tb:token_seq\n" + "".join(rows)).encode())
        for field, at in (("a", 0), ("b", 1)):
            ours = read_item_text(path / "x.item", "item_id", [field])
            assert ours == {item: pair[at] for item, pair in zip(ids, texts, strict=True) if pair[at]}
        lean = read_columns(str(path / "x.inter"), [("user_id", "token"), ("item_id", "token")], "\t", "utf-8")
        assert lean["item_id"].tolist() == lean["user_id"].tolist() == ids
        config = pop_config()
        config["data_path"] = str(path)
        loaded = Dataset(config)
        for column in ("user_id", "item_id"):
            assert list(loaded.field2id_token[column][1:]) == ids
        rows = {loaded.id2token("item_id", row["item_id"]): row for row in loaded.item_feat.to_dict("records")}
        for item, pair in zip(ids, texts, strict=True):
            for field, at in (("a", 0), ("b", 1)):
                assert " ".join(loaded.id2token(field, int(word)) for word in rows[item][field]) == pair[at]


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), unique=True, max_size=20))
def test_no_two_ids_become_one(raw: list[str]) -> None:
    safe = [safe_id(text) for text in raw]
    assert len(set(safe)) == len(raw)
    assert safe_ids(pa.array(raw, pa.large_string()))[0].to_pylist() == safe


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        *(("007", "007"), ("a b", "a b"), ('a"b', 'a"b'), ("100%", "100%"), ("\u00e9", "\u00e9"), ("1.0", "1.0")),
        *(('"a"', '%22a"'), ("a\tb", "a%09b"), ("NA", "%4EA"), ("%41", "%2541"), (" a", "%20a"), ("a ", "a%20")),
    ],
)
def test_ids(raw: str, safe: str) -> None:
    assert safe_id(raw) == safe


def test_long_texts_are_cut_at_a_word() -> None:
    assert cut_text("ab " * MAX_TEXT) == ("ab " * MAX_TEXT)[:MAX_TEXT].rstrip().removesuffix(" a")
    assert cut_text("x" * (MAX_TEXT + 5)) == "x" * MAX_TEXT
    assert cut_text("short") == "short"


def test_the_whole_way(prepare: Callable, tmp_path: Path) -> None:
    titles = ['"Great Performances" Cats', "NA", "a\tb\nc", "nul\0l", 'x "y" z', "\u2028"]
    table = pd.DataFrame({"u": ["a", "b"] * 3, "i": [f"i{at}" for at in range(6)], "t": range(6), "title": titles})
    table.to_json(tmp_path / "log.jsonl", orient="records", lines=True)
    done = prepare(
        "csv",
        tmp_path / "log.jsonl",
        "--user",
        "u",
        "--item",
        "i",
        "--time",
        "t",
        "--text",
        "title",
        "--missing-values",
        "",
    )
    assert read_item_text(done.folder / "raw.item", "item_id", ["title"]) == {
        f"i{at}": safe_text(title) for at, title in enumerate(titles) if safe_text(title)
    }
