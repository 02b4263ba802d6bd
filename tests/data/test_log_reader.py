"""The lean reader gives what RecBole's gives: tokens, missing values, filters, numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pandas._libs.parsers import STR_NA_VALUES
from recbole.data.dataset import SequentialDataset

from recbole_longinterest.common.atomic_files import read_header
from recbole_longinterest.data import log_reader, numbers
from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.data.log_reader import read_columns
from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter

HEAD = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
AWKWARD = [
    "007\tNaN\t1\t5",  # a missing item: dropped
    "7\t0x1f\t.1\t1e3",
    "007\titem 1\t0.1\t1000000007",
    '"quoted"\tï\t\t2.5',  # a quoted user, a missing rating
    "1.0\t1e3\t4\t3",
    "007\t1.0\t4\t4",
    "True\tnull\t4\t4",
    "7\t007\t4\t1",
]


def both(root: Path, **settings: Any) -> list[Any]:
    """RecBole's data set and the flat one of the same file, before they are split."""
    own = {"load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]}, "train_neg_sample_args": None}
    config = make_config("GRU4Rec", "tiny", config_dict={"data_path": str(root), "state": "ERROR", **own, **settings})
    return [SequentialDataset(config), FlatSequentialDataset(config)]


@pytest.mark.parametrize(("chunk", "quotes"), [(3, True), (10**6, True), (64, False), (2**24, False)])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"user_inter_num_interval": "[2,inf)"},
        {"rm_dup_inter": "first"},
        {"val_interval": {"rating": "[1,5]", "user_id": ["007", "7", "u3"]}},
    ],
)
def test_equals_recboles_reader(
    write_dataset: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    chunk: int,
    quotes: bool,
    settings: dict[str, Any],
) -> None:
    """Rows with quotes are read by pandas, others by pyarrow."""
    monkeypatch.setattr(numbers, "CHUNK", chunk)
    monkeypatch.setattr(log_reader, "BLOCK", chunk)
    if not quotes:
        monkeypatch.setattr(log_reader, "_read_by_pandas", None)
    events = synthetic_inter(users=5).strip().split("\n")[1:]
    awkward = [row for row in AWKWARD if quotes or '"' not in row]
    theirs, ours = both(write_dataset("tiny", "\n".join([HEAD, *awkward, *events]) + "\n"), **settings)
    assert theirs.field2type == ours.field2type and theirs.field2seqlen == ours.field2seqlen
    for field in ("user_id", "item_id"):
        assert theirs.field2id_token[field].tolist() == ours.field2id_token[field].tolist()
        assert theirs.field2token_id[field] == ours.field2token_id[field]
    for field in theirs.inter_feat:
        assert np.array_equal(theirs.inter_feat[field].to_numpy(), ours.inter_feat[field].to_numpy()), field


def test_sequence_columns_are_left_to_recbole(write_dataset: Callable[..., Path]) -> None:
    inter = "user_id:token\titem_id:token\ttimestamp:float\ttags:token_seq\nu\ti\t1\ta b\nu\tj\t2\tb\n"
    columns = ["user_id", "item_id", "timestamp", "tags"]
    theirs, ours = both(write_dataset("tiny", inter), load_col={"inter": columns})
    assert [list(tags) for tags in theirs.inter_feat["tags"]] == [list(tags) for tags in ours.inter_feat["tags"]]


def test_a_token_is_held_once(tmp_path: Path) -> None:
    path = tmp_path / "x.inter"
    path.write_text(synthetic_inter(users=50))
    table = read_columns(str(path), [("user_id", "token"), ("rating", "float")], "\t", None)
    assert table["user_id"].cat.codes.dtype.itemsize <= 2
    assert list(table.columns) == ["user_id", "rating"]


@pytest.mark.parametrize("head", ["user_id\titem_id:token", "user_id:token,item_id:token", "user_id:word\ti:token", ""])
def test_a_wrong_header_is_one_sentence(tmp_path: Path, head: str) -> None:
    path = tmp_path / "x.inter"
    path.write_text(head + "\n")
    with pytest.raises(ValueError, match=r"the first line must name each column as name:type .*got"):
        read_header(str(path), "\t", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('user_id:token\titem_id:token\nu1\t"i1\nu2\ti2\nu3\ti3"\nu4\ti4\n\n', r"4 lines are read as 2 rows\. A quote"),
        ("user_id:token\trating:float\nu1\t3\nu2\tfive\n", r"row 2 has 'five' as rating:float"),
        (
            "user_id:token\titem_id:token\tname:token_seq\nu1\ti1\tx\t5\nu1\ti2\ty\t4\n",
            "rows have more values than its first line names",
        ),
        ("user_id:token\titem_id:token\tuser_id:token\n", "names the column user_id more than once"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.inter"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as info:
        columns = [column for column in read_header(str(path), "\t", None) if column[1] != "token_seq"]
        read_columns(str(path), columns, "\t", None)
    assert str(path) in str(info.value)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n \n", "", "\t", "\t\n\n"])
def test_a_file_with_a_mark_quotes_and_any_end_is_read(tmp_path: Path, end: str) -> None:
    path = tmp_path / "x.inter"
    path.write_text('user_id:token\titem_id:token\nu1\t"i1"\nu2\ti"2' + end, encoding="utf-8-sig", newline="")
    for encoding in ("utf-8", None):
        table = read_columns(str(path), read_header(str(path), "\t", encoding), "\t", encoding)
        assert table["item_id"].tolist() == ["i1", 'i"2'] and table["user_id"].tolist() == ["u1", "u2"]


def test_rows_of_empty_cells_are_rows(tmp_path: Path) -> None:
    (tmp_path / "x.inter").write_text("user_id:token\titem_id:token\trating:float\nu1\ti1\t1\n\t\t\nu2\ti2\t3")
    table = read_columns(str(tmp_path / "x.inter"), [("user_id", "token"), ("rating", "float")], "\t", None)
    assert table["user_id"].isna().tolist() == [False, True, False]


def test_missing_values_are_those_of_pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = sorted(set(log_reader.MISSING) | STR_NA_VALUES)
    rows = [f"{word}\t{'' if word == 'None' else word}\tx" for word in words]  # pandas has no number None
    (tmp_path / "x.inter").write_text("a:token\tb:float\tc:token\n" + "\n".join(rows))
    columns = [("a", "token"), ("b", "float"), ("c", "token")]
    for reader in ("_read_by_pandas", "_read_by_pyarrow"):
        with monkeypatch.context() as patch:
            if reader == "_read_by_pandas":
                patch.setattr(log_reader, "_read_by_pyarrow", lambda *args: None)
            else:
                patch.setattr(log_reader, "_read_by_pandas", None)
            table = read_columns(str(tmp_path / "x.inter"), columns, "\t", None)
        assert len(table) == len(words) and table[["a", "b"]].isna().all(axis=None) and (table["c"] == "x").all()


@pytest.mark.parametrize("text", ["0.1", "1e22", "123456789.123456789", "1.7976931348623157e308", "5e-324", " 7 "])
def test_numbers_are_exact(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.inter").write_text(f"a:token\tb:float\nu\t{text}\n")
    table = read_columns(str(tmp_path / "x.inter"), [("a", "token"), ("b", "float")], "\t", None)
    assert table["b"].tolist() == [float(text)]


@pytest.mark.parametrize("text", ["u\t1\nv\n", "u\tinf\n", "\ru\t1\n", "u\t1\t2\n", "\udcff\t1\n", ""])
def test_what_pyarrow_refuses_is_left_to_pandas(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.inter"
    path.write_text("a:token\tb:float\n" + text, errors="surrogateescape")
    assert (log_reader._read_by_pyarrow(str(path), [("a", "token"), ("b", "float")], "\t") is None) == bool(text)
