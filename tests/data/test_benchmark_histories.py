"""Files that are split already: own field names, long and short histories, empty parts, and what cannot be read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recbole.data import create_dataset

from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import make_config
from tests.conftest import FakeEncoder

SMALL: dict[str, Any] = {
    **{"epochs": 1, "train_batch_size": 64, "show_progress": False, "state": "WARNING", "train_neg_sample_args": None},
    **{"benchmark_filename": ["train", "valid", "test"], "load_col": None, "topk": [5], "valid_metric": "NDCG@5"},
}
RECURRENT = {"embedding_size": 8, "hidden_size": 8}
ATTENTIVE = {"hidden_size": 8, "inner_size": 8, "n_layers": 1, "n_heads": 2}
SIZES: dict[str, dict[str, Any]] = {
    **{"GRU4Rec": RECURRENT, "NARM": RECURRENT, "STAMP": {"embedding_size": 8}},
    **{"eSASRec": ATTENTIVE, "HSTU": {"hidden_size": 8}, "LRURec": {"hidden_size": 8}},
    **{"SASRec": ATTENTIVE, "BERT4Rec": ATTENTIVE, "LongInterest": {**RECURRENT, "text_features": "off"}},
}
PARTS = ("train", "valid", "test")
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, fake_encoder: FakeEncoder) -> Write:
    """Write three parts with histories of up to ``longest`` events; returns the folder above theirs."""

    def make(
        user: str = "user_id",
        item: str = "item_id",
        time: str = "timestamp",
        suffix: str = "_list",
        longest: int = 9,
        last: int | None = None,
        empty: tuple[str, ...] = (),
        change: Callable[[str, list[list[str]]], None] = lambda part, rows: None,
    ) -> str:
        folder, rng = tmp_path / "data" / "made", np.random.default_rng(0)
        folder.mkdir(parents=True, exist_ok=True)
        head = [f"{user}:token", f"{item}:token", f"{time}:float", f"{item}{suffix}:token_seq"]
        head += [f"{time}{suffix}:float_seq"]
        for part in PARTS:
            rows = []
            for number in range(0 if part in empty else 20):
                items = [f"i{n}" for n in rng.integers(0, 12, int(rng.integers(1, longest + 1)))][-(last or longest) :]
                times = " ".join(str(10**6 + n) for n in range(len(items)))
                rows.append([f"u{number}", f"i{rng.integers(12)}", str(2 * 10**6), " ".join(items), times])
            change(part, rows)
            (folder / f"made.{part}.inter").write_text("\n".join("\t".join(row) for row in [head, *rows]) + "\n")
        return str(folder.parent)

    return make


def config(root: str, model: str = "GRU4Rec", **settings: Any) -> Any:
    given = {**SMALL, **SIZES[model], "alias_of_item_id": ["item_id_list"], "data_path": root, **settings}
    return make_config(model, "made", config_dict=given)


OWN = {
    **{"USER_ID_FIELD": "who", "ITEM_ID_FIELD": "what", "TIME_FIELD": "when", "LIST_SUFFIX": "_before"},
    **{"ITEM_LIST_LENGTH_FIELD": "n", "alias_of_item_id": ["what_before"]},
}


@pytest.mark.parametrize("model", ["GRU4Rec", "SASRec", "LongInterest", "HSTU"])
@pytest.mark.parametrize("exact", [None, True])
def test_fields_of_any_name_give_the_figures_of_recboles_names(write: Write, model: str, exact: bool | None) -> None:
    more = {} if exact is None else {"exact_order": exact}
    usual = pipeline.run(config(write(), model, **more))
    own = write("who", "what", "when", "_before")
    named = pipeline.run(config(own, model, **OWN, **more))
    assert named.best_valid_result == usual.best_valid_result and named.test_result == usual.test_result


@pytest.mark.parametrize("model", ["SASRec", "GRU4Rec", "BERT4Rec", "NARM", "STAMP", "eSASRec", "HSTU", "LRURec"])
def test_of_long_histories_the_last_events_are_read(write: Write, model: str, caplog: pytest.LogCaptureFixture) -> None:
    figures = []
    for last in (None, 5):
        caplog.clear()
        found = pipeline.run(config(write(last=last), model, MAX_ITEM_LIST_LENGTH=5))
        figures.append((found.best_valid_result, found.test_result))
        said = "histories are longer than MAX_ITEM_LIST_LENGTH: their last 5 events are read. The longest has 9"
        assert (said in caplog.text) == (last is None)
    assert figures[0] == figures[1]


def test_longinterest_reads_whole_histories(write: Write) -> None:
    dataset = create_dataset(config(write(), "LongInterest", MAX_ITEM_LIST_LENGTH=4))
    assert dataset.inter_feat["item_length"].max() == 9


@pytest.mark.parametrize("empty", [("valid",), ("test",)])
def test_a_part_may_be_empty(write: Write, empty: tuple[str, ...]) -> None:
    dataset = create_dataset(config(write(empty=empty)))
    assert [len(part) for part in dataset.build()] == [0 if part in empty else 20 for part in PARTS]


def _no_history(part: str, rows: list[list[str]]) -> None:
    if part == "valid":
        rows[2][3] = rows[2][4] = ""


def _short_times(part: str, rows: list[list[str]]) -> None:
    if part == "test":
        rows[1][3:] = ["i1 i2 i3", "5 6"]


def _word(part: str, rows: list[list[str]]) -> None:
    if part == "test":
        rows[3][2] = "noon"


def _word_in_list(part: str, rows: list[list[str]]) -> None:
    if part == "valid":
        rows[4][3:] = ["i1 i2", "5 six"]


@pytest.mark.parametrize("model", ["GRU4Rec", "LongInterest"])
@pytest.mark.parametrize(
    ("settings", "change", "message"),
    [
        ({"alias_of_item_id": None}, None, r"Set alias_of_item_id: \[item_id_list\]"),
        ({"ITEM_ID_FIELD": "timestamp"}, None, r"Set alias_of_item_id: \[timestamp_list\]|holds floats"),
        ({"LIST_SUFFIX": "_seq"}, None, "item_id_seq is not among the columns read"),
        ({}, _no_history, r"made.valid.inter, row 3, has no history: item_id_list is empty"),
        ({}, _short_times, r"made.test.inter, row 2, has 2 values as timestamp_list and 3 as item_id_list"),
        ({}, _word, r"made.test.inter cannot be read: row 4 has 'noon' as timestamp:float"),
        ({}, _word_in_list, r"made.valid.inter cannot be read: row 5 has 'six' as timestamp_list:float_seq"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    write: Write, model: str, settings: dict[str, Any], change: Any, message: str
) -> None:
    root = write() if change is None else write(change=change)
    with pytest.raises(ValueError, match=message):
        create_dataset(config(root, model, **settings))
