"""An exported split against the split of a comparison, and read again by RecBole and by the plugin."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from recbole.data import create_dataset

from recbole_longinterest import export_split
from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.experiments.comparison import data
from recbole_longinterest.experiments.comparison.cell import Cell
from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter, synthetic_item
from tests.data.test_ties import days

PARTS = ("train", "validation", "test")
GLOBAL = {"split": {"TS": [0.6, 0.2, 0.2]}, "order": "TO", "mode": "full"}
Row = tuple[str, str, tuple[str, ...], float]


@pytest.fixture
def root(write_dataset: Callable[..., Path]) -> Path:
    """A log with a rating that is missing, half ratings, a column of tokens and times of full precision."""
    head, *lines = synthetic_inter(seed=3).splitlines()
    rows = []
    for number, line in enumerate(lines):
        user, item, rating, time = line.split("\t")
        rating = "" if number == 7 else f"{rating}.5" if number % 5 == 0 else rating
        rows.append("\t".join([user, item, rating, str(int(time) + 3 * 10**8), f"kind {number % 3}"]))
    return write_dataset("tiny", "\n".join([f"{head}\tdevice:token", *rows]) + "\n")


def exported(root: Path, folder: Path, **settings: Any) -> Path:
    return export_split(["tiny"], folder, settings={"data_path": str(root), "state": "ERROR", **settings}) / "tiny"


def raw(root: Path) -> dict[tuple[str, str, int], tuple[float, str]]:
    """Rating and device of each event of the file."""
    found = {}
    for line in (root / "tiny" / "tiny.inter").read_text().splitlines()[1:]:
        user, item, rating, time, device = line.split("\t")
        found[user, item, int(time)] = (float(rating or "nan"), device)
    return found


@pytest.mark.parametrize("split", [None, GLOBAL], ids=["leave-one-out", "by time"])
@pytest.mark.parametrize("scaled", [False, True], ids=["as it is", "normalised"])
def test_the_tables_hold_the_events_of_the_file_in_the_parts_of_a_comparison(
    cell: Callable[..., Cell], root: Path, tmp_path: Path, split: dict[str, Any] | None, scaled: bool
) -> None:
    given = {"normalize_all": scaled, **({} if split is None else {"eval_args": split})}
    folder = exported(root, tmp_path / "out", **given)
    made = cell("Pop", inter=(root / "tiny" / "tiny.inter").read_text(), **given)
    train, valid, test = data.make_dataset(made.config()).build()
    tables = {name: pd.read_csv(folder / f"{name}.csv", dtype={"device": str}) for name in PARTS}
    for name, part in (("validation", valid), ("test", test)):
        users = part.id2token("user_id", part.inter_feat["user_id"].numpy())
        items = part.id2token("item_id", part.inter_feat["item_id"].numpy())
        assert sorted(zip(tables[name]["user_id"], tables[name]["item_id"], strict=True)) == sorted(
            zip(users, items, strict=True)
        )
    counts = dict(zip(train.field2id_token["item_id"], train.training_events().tolist(), strict=True))
    assert tables["train"]["item_id"].value_counts().to_dict() == {item: n for item, n in counts.items() if n}
    file, seen = raw(root), []
    for name in PARTS:
        table = tables[name]
        assert list(table) == ["user_id", "item_id", "rating", "timestamp", "device"]
        for user, item, rating, time, device in table.itertuples(index=False):
            np.testing.assert_equal((rating, device), file[user, item, int(time)])
            seen.append((user, item, time))
        pd.testing.assert_frame_equal(
            pd.read_parquet(folder / f"{name}.parquet"), table, check_dtype=False, check_exact=False
        )
    assert len(seen) == len(set(seen)) and (split is not None or len(seen) == len(file))
    assert set(pd.read_csv(folder / "items.csv")["item_id"]) == {item for _, item, _ in file}
    as_compared = data.make_dataset(made.config())
    assert data.fingerprint(as_compared, as_compared.build()).split in (tmp_path / "out" / "README.md").read_text()
    mark = json.loads((tmp_path / "out" / "split.json").read_text())
    assert mark["datasets"]["tiny"]["rows"] == {name: len(tables[name]) for name in PARTS}
    assert str(root) not in (tmp_path / "out" / "split.json").read_text()


def rows_of(dataset: Any) -> list[Row]:
    """Rows of a part: user, item, the history's items, time."""
    batch = dataset[:]
    users = dataset.id2token("user_id", batch["user_id"].numpy())
    items = dataset.id2token("item_id", batch["item_id"].numpy())
    histories = zip(batch["item_id_list"].tolist(), batch["item_length"].tolist(), strict=True)
    lists = [tuple(dataset.id2token("item_id", line[:length])) for line, length in histories]
    return sorted(zip(users, items, lists, batch["timestamp"].tolist(), strict=True))


@pytest.mark.parametrize("exact", [None, True], ids=["RecBole's data set", "the flat one"])
@pytest.mark.parametrize("limit", [50, 4])
def test_recboles_files_give_the_same_rows_again(root: Path, tmp_path: Path, exact: bool | None, limit: int) -> None:
    folder = exported(root, tmp_path / "out", MAX_ITEM_LIST_LENGTH=limit)
    common = {"state": "ERROR", "train_neg_sample_args": None, "MAX_ITEM_LIST_LENGTH": limit}
    own = make_config("GRU4Rec", "tiny", config_dict={**common, "data_path": str(root), "exact_order": True})
    expected = create_dataset(own).build()
    settings = {**common, "data_path": str(folder / "recbole-sequential")}
    if exact is not None:
        settings["exact_order"] = exact
    config = make_config("GRU4Rec", "tiny-split", [folder / "recbole-sequential.yaml"], settings)
    whole = create_dataset(config)
    assert isinstance(whole, FlatSequentialDataset) == (exact is True)
    found = whole.build()
    assert whole.item_num == expected[0].item_num and whole.user_num == expected[0].user_num
    for again, first in zip(found, expected, strict=True):
        assert rows_of(again) == rows_of(first)
    assert "rating_list" not in yaml.safe_load((folder / "recbole-sequential.yaml").read_text())["load_col"]["inter"]
    assert "timestamp_list" in found[0].inter_feat.columns


def test_general_models_learn_from_every_training_event(root: Path, tmp_path: Path) -> None:
    folder = exported(root, tmp_path / "out")
    settings = {"state": "ERROR", "data_path": str(folder / "recbole-general")}
    config = make_config("BPR", "tiny-split", [folder / "recbole-general.yaml"], settings)
    parts = create_dataset(config).build()
    for name, part in zip(PARTS, parts, strict=True):
        table = pd.read_csv(folder / f"{name}.csv")
        users = part.id2token("user_id", part.inter_feat["user_id"].numpy())
        items = part.id2token("item_id", part.inter_feat["item_id"].numpy())
        assert list(zip(users, items, strict=True)) == list(zip(table["user_id"], table["item_id"], strict=True))


def test_items_with_spaces_have_another_separator(write_dataset: Callable[..., Path], tmp_path: Path) -> None:
    root = write_dataset("tiny", re.sub(r"\ti(?=\d)", "\titem ", synthetic_inter()))
    folder = exported(root, tmp_path / "out")
    assert yaml.safe_load((folder / "recbole-sequential.yaml").read_text())["seq_separator"] == ","
    settings = {"state": "ERROR", "data_path": str(folder / "recbole-sequential"), "train_neg_sample_args": None}
    config = make_config("GRU4Rec", "tiny-split", [folder / "recbole-sequential.yaml"], settings)
    assert create_dataset(config).item_num == 21


def test_features_of_items_go_along(write_dataset: Callable[..., Path], tmp_path: Path) -> None:
    root = write_dataset("tiny", synthetic_inter(), synthetic_item())
    folder = exported(root, tmp_path / "out")
    assert (folder / "recbole-general" / "tiny-split" / "tiny-split.item").read_text() == synthetic_item()
    settings = {"state": "ERROR", "data_path": str(folder / "recbole-sequential"), "train_neg_sample_args": None}
    columns = yaml.safe_load((folder / "recbole-sequential.yaml").read_text())["load_col"]
    settings["load_col"] = {**columns, "item": ["item_id", "class"]}
    config = make_config("SASRecF", "tiny-split", [folder / "recbole-sequential.yaml"], settings)
    assert create_dataset(config).item_feat["class"].shape[0] == 21


def test_the_readme_says_what_is_there(root: Path, tmp_path: Path) -> None:
    folder = exported(root, tmp_path / "out")
    text = (folder.parent / "README.md").read_text()
    assert "# tiny: the split of a comparison" in text and "30 users, 20 items" in text
    assert "Columns: `user_id`, `item_id`, `rating`, `timestamp`, `device`." in text
    assert "recbole-li compare --datasets tiny --lists NAME=FILE ..." in text
    for path in folder.iterdir():
        assert path.name in text, path


def test_an_export_is_replaced_and_nothing_else(root: Path, tmp_path: Path) -> None:
    first = exported(root, tmp_path / "out")
    (first / "test.csv").write_text("changed")
    exported(root, tmp_path / "out")
    assert (first / "test.csv").read_text() != "changed"
    (first / "my_lists.csv").write_text("hours of work")
    with pytest.raises(
        ValueError, match=r"out also holds tiny/my_lists\.csv, which would be lost\. Move it, or give an"
    ):
        exported(root, tmp_path / "out")
    assert (first / "my_lists.csv").read_text() == "hours of work"
    (first / "my_lists.csv").unlink()
    with pytest.raises(ValueError, match=r"out also holds the split of tiny, which would be lost"):
        export_split(["ml-100k"], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    exported(root, tmp_path / "empty")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match=r"mine exists and holds no exported split \(no split\.json\), so it is not"):
        exported(root, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(ValueError, match=r"thesis\.txt is a file\. Give another folder"):
        exported(root, tmp_path / "mine" / "thesis.txt")


def test_what_cannot_be_exported_is_said(root: Path, write_dataset: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="There is no data set to export"):
        export_split([], tmp_path / "out")
    given = {"BEHAVIOR_FIELD": "device", "target_behavior": ["kind 1"], "load_col": None}
    with pytest.raises(ValueError, match=r"A split with target_behavior or behavior_map cannot be exported"):
        exported(root, tmp_path / "out", **given)
    write_dataset("tiny", synthetic_inter().replace("\ti3\t", '\ti"3\t'))
    with pytest.raises(ValueError, match=r"item_id has 'i\"3', and a quote, tab or line end cannot be in RecBole's"):
        exported(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_split_by_time_is_exported(tmp_path: Path, write_dataset: Callable[..., Path]) -> None:
    root = write_dataset("tiny", days())
    thirds = {"data_path": str(root), "state": "ERROR", "split_by_time": [0.34, 0.67]}  # a day each
    read = []
    for name, more in (("file", {}), ("random", {"tie_order": "random"})):
        folder = export_split(["tiny"], tmp_path / name, settings={**thirds, **more}) / "tiny"
        parts = [pd.read_csv(folder / f"{part}.csv") for part in ("train", "validation", "test")]
        assert [len(part) for part in parts] == [160, 160, 160]  # each user's first event is in the training
        assert [part["timestamp"].nunique() for part in parts] == [1, 1, 1]
        read.append(parts[2]["item_id"].tolist())
        events = pd.read_csv(folder / "events.csv", keep_default_na=False)
        assert len(events) == 480 and events["part"].value_counts().to_dict() == dict.fromkeys(PARTS, 160)
    assert read[0] != read[1] and sorted(read[0]) == sorted(read[1])
    file, shuffled = ((tmp_path / name / "README.md").read_text() for name in ("file", "random"))
    for text in (file, shuffled):
        assert "takes one list for each user, and here 160 test events belong to 40 users" in text
        assert "--lists NAME" not in text
    export_split(["tiny"], tmp_path / "random", settings={**thirds, "tie_order": "random", "split_targets": "first"})
    text = (tmp_path / "random" / "README.md").read_text()
    assert "--datasets tiny --split time --ties file,random --lists NAME@random-0=FILE ..." in text


@pytest.mark.parametrize("targets", ["successive", "last", "first"])
def test_histories_of_a_split_by_time_are_whole(
    cell: Callable[..., Cell], tmp_path: Path, write_dataset: Callable[..., Path], targets: str
) -> None:
    """Users who are new in the validation or test period have a first event that is in no part."""
    head, *lines = days().splitlines()
    late = [line for line in lines if not (line.startswith(("u1\t", "u2\t")) and line.endswith("\t1000000000"))]
    late = [line for line in late if not (line.startswith("u2\t") and line.endswith(str(10**9 + 86400)))]
    inter = "\n".join([head, *late]) + "\n"
    given = {"split_by_time": ["2001-09-10", "2001-09-11"], "split_targets": targets}
    root = write_dataset("tiny", inter)
    folder = exported(root, tmp_path / "out", **given)
    events = pd.read_csv(folder / "events.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "events.parquet"), events, check_dtype=False)
    assert len(events) == len(late)
    none = (events["part"] == "").sum()
    assert none == (2 if targets == "successive" else len(events) - sum(events["part"].isin(PARTS)))
    assert f"; empty for {none} events that are in histories" in (folder.parent / "README.md").read_text()
    for name in PARTS:
        columns = ["user_id", "item_id", "timestamp"]
        pd.testing.assert_frame_equal(
            events.loc[events["part"] == name, columns].reset_index(drop=True), pd.read_csv(folder / f"{name}.csv")
        )
    test = data.make_dataset(cell("Pop", inter=inter, **given).config()).build()[2]
    log = test.event_log["item_id_list"].long()
    spans = zip(test.inter_feat.history_start().tolist(), test.inter_feat.position.tolist(), strict=True)
    users = test.id2token("user_id", test.inter_feat["user_id"].numpy())
    for (begin, end), user, position in zip(spans, users, test.inter_feat.position.tolist(), strict=True):
        assert events["user_id"][position] == user and events["part"][position] == "test"
        before = events[(events["user_id"] == user) & (events.index < position)]["item_id"].tolist()
        assert before == list(test.id2token("item_id", log[begin:end].numpy()))
