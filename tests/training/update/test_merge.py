"""Old and new atomic files to one: the bytes of any encoding, the columns that the training read, unusual names."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.common.atomic_files import read_header
from recbole_longinterest.data.log_reader import read_columns
from recbole_longinterest.text.reader import read_item_text
from recbole_longinterest.training.update.lines import MergeError
from recbole_longinterest.training.update.merge import NewFiles, merge

OLD = "user_id:token\titem_id:token\ttimestamp:float\tbehavior:token\nu1\ti1\t1\tview\nu1\ti2\t2\tview"
NEW = OLD.split("\n")[0] + "\nu1\ti3\t3\tview\nu1\ti3\t3\tbuy\nu1\ti2\t2\tbuy\n"
ITEMS = "item_id:token\ttitle:token_seq\ni1\tOne\ni2\tTwo\n"


@pytest.fixture
def merged(tmp_path: Path) -> Callable[..., tuple[Any, Path]]:
    """Merge new events and items of a data set, and the folder with what came of it."""

    def make(
        new: str = NEW, old: str = OLD, encoding: str = "utf-8", name: str = "d", **settings: Any
    ) -> tuple[Any, Path]:
        config: dict[str, Any] = {
            **{"dataset": name, "data_path": str(tmp_path / "old"), "field_separator": "\t", "encoding": encoding},
            **{"USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id", "TIME_FIELD": "timestamp"},
            **{"RATING_FIELD": "rating", "BEHAVIOR_FIELD": "behavior", "behavior_map": None, "load_col": None},
            **{"unload_col": None, "seq_separator": " ", **settings},
        }
        (tmp_path / "old").mkdir(exist_ok=True)
        for end, text in (("inter", old), ("item", ITEMS)):
            (tmp_path / "old" / f"{name}.{end}").write_bytes(text.encode(encoding))
        (tmp_path / "old" / f"{name}.user").write_text("kept")
        (tmp_path / "new.inter").write_bytes(new.encode(encoding))
        (tmp_path / "new.item").write_bytes((ITEMS + "i3\tThree\n").encode(encoding))
        done = merge(config, NewFiles(tmp_path / "new.inter", tmp_path / "new.item"), tmp_path / "out")
        return done, tmp_path / "out"

    return make


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "UTF_8", "utf-16", "utf-16-be", "latin-1"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_what_is_appended_has_no_mark_of_its_own(merged: Callable[..., Any], encoding: str, end: str) -> None:
    done, folder = merged(old=OLD + end, encoding=encoding)
    path = str(folder / "d.inter")
    kinds = read_header(path, "\t", encoding)
    table = read_columns(path, [kinds[0], kinds[1]], "\t", encoding)
    assert table["user_id"].tolist() == ["u1"] * 5 and (done.events, done.users) == (3, 0)
    assert table["item_id"].tolist() == ["i1", "i2", "i3", "i3", "i2"]
    texts = read_item_text(folder / "d.item", "item_id", ["title"], encoding=encoding)
    assert texts == {"i1": "One", "i2": "Two", "i3": "Three"}


@pytest.mark.parametrize("columns", [None, "*", ["user_id", "item_id", "timestamp", "behavior"]])
def test_columns_are_those_of_the_training(merged: Callable[..., Any], columns: Any) -> None:
    load = {"load_col": columns if columns is None else {"inter": columns}}
    done, folder = merged(**load)
    assert (done.events, done.repeated) == (3, 0)
    assert (folder / "d.inter").read_text().count("buy") == 2
    with pytest.raises(MergeError, match="has no column behavior"):
        merged("user_id:token\titem_id:token\ttimestamp:float\nu1\ti3\t3\n", **load)
    without = (
        {"unload_col": {"inter": ["behavior"]}} if columns in (None, "*") else {"load_col": {"inter": columns[:3]}}
    )
    shutil.rmtree(folder)
    done, _ = merged("user_id:token\titem_id:token\ttimestamp:float\nu1\ti4\t4\n", **{**load, **without})
    assert done.events == 1


def test_lines_that_end_in_carriage_returns_and_long_separators_are_one_sentence(merged: Callable[..., Any]) -> None:
    with pytest.raises(MergeError, match="end in carriage returns without line feeds"):
        merged(NEW.replace("\n", "\r"))
    with pytest.raises(MergeError, match="needs a field_separator of one character; got '::'"):
        merged(field_separator="::")


def test_a_name_with_brackets_is_a_name(merged: Callable[..., Any]) -> None:
    _, folder = merged(name="a[1]")
    assert (folder / "a[1].user").read_text() == "kept"
