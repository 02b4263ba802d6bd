"""The flat data set: RecBole's rows, exact order, text rows, missing ratings, whole histories."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.config import Config
from recbole.data.dataset import SequentialDataset
from recbole.data.utils import create_dataset, data_preparation

import recbole_longinterest  # noqa: F401 - registers
from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.data.longinterest_dataset import LongInterestDataset
from recbole_longinterest.training.settings import make_config
from tests.conftest import SMALL, real_data, synthetic_inter, synthetic_item

ML_100K = {"load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]}, "train_neg_sample_args": None}


def all_rows(dataset: SequentialDataset) -> dict[str, torch.Tensor]:
    batch = dataset[np.arange(len(dataset))]
    return {field: batch[field] for field in sorted(batch.columns)}


@pytest.mark.parametrize("split", [{"LS": "valid_and_test"}, {"RS": [0.8, 0.1, 0.1]}, {"TS": [0.8, 0.1, 0.1]}])
def test_rows_in_recboles_order_equal_recboles_bit_for_bit(
    write_dataset: Callable[..., Path], split: dict[str, Any]
) -> None:
    root = write_dataset("tiny", synthetic_inter())
    settings = {"data_path": str(root), "eval_args": {"split": split, "order": "TO", "mode": "full"}}
    config = Config("GRU4Rec", "tiny", config_dict={**ML_100K, **settings, "MAX_ITEM_LIST_LENGTH": 5})
    theirs = SequentialDataset(config).build()
    config["exact_order"] = False
    ours = FlatSequentialDataset(config).build()
    for their, our in zip(theirs, ours, strict=True):
        expected, got = all_rows(their), all_rows(our)
        assert expected.keys() == got.keys()
        for field in expected:
            assert expected[field].dtype == got[field].dtype, field
            assert torch.equal(expected[field], got[field]), field


def test_inter_matrix_equals_recboles(write_dataset: Callable[..., Path]) -> None:
    root = write_dataset("tiny", synthetic_inter())
    config = Config("GRU4Rec", "tiny", config_dict={**ML_100K, "data_path": str(root)})
    expected = SequentialDataset(config).build()[0].inter_matrix("csr", "rating")
    config["exact_order"] = False
    got = FlatSequentialDataset(config).build()[0].inter_matrix("csr", "rating")
    assert (expected != got).nnz == 0


def test_full_precision_time_orders_what_float32_cannot(small_config: Callable[..., Config]) -> None:
    base = 1_000_000_000  # float32 steps are 64 s here
    rows = [("u", f"i{i}", base + 30 - 10 * i) for i in range(4)]  # the file is in reverse order of time
    inter = "user_id:token\titem_id:token\ttimestamp:float\n" + "\n".join(f"{u}\t{i}\t{t}" for u, i, t in rows)
    order = {}
    for exact in (True, False):
        data = create_dataset(small_config(inter, synthetic_item(), exact_order=exact))
        data.build()
        last = data[np.array([len(data) - 1])]
        items = torch.cat([last["item_id_list"][0], last["item_id"]]).numpy()
        order[exact] = data.id2token("item_id", items).tolist()
        assert data.event_log["time_gap_list"].tolist() == [-1, *[10 if exact else 0] * 3]  # none is negative
    assert order[True] == ["i3", "i2", "i1", "i0"]
    assert order[False] == ["i0", "i1", "i2", "i3"]  # all times equal in float32: file order


def test_ml_100k_test_targets_differ_from_recboles_order_as_measured() -> None:
    """FACTS: without normalize_all 16 % of users get another test item, with it far fewer."""
    moved = {}
    for normalize in (True, False):
        config = Config("GRU4Rec", "ml-100k", config_dict={**ML_100K, "normalize_all": normalize})
        theirs = SequentialDataset(config).build()[2]
        config["exact_order"] = True
        ours = FlatSequentialDataset(config).build()[2]
        assert torch.equal(theirs.inter_feat["user_id"].sort().values, ours.inter_feat["user_id"].sort().values)
        last = [
            dict(zip(d.inter_feat["user_id"].tolist(), d.inter_feat["item_id"].tolist(), strict=True))
            for d in (theirs, ours)
        ]
        moved[normalize] = np.mean([last[0][user] != last[1][user] for user in last[0]])
    assert 0.1 < moved[False] < 0.25
    assert moved[True] < 0.02


def test_text_row_is_that_items_after_remapping_and_filtering(small_config: Callable[..., Config]) -> None:
    config = small_config(item_inter_num_interval="[8,inf)", user_inter_num_interval="[3,inf)")
    data = create_dataset(config)
    assert 2 < data.item_num < 21  # the filter removed items
    assert data.text_source.texts[0] == ""
    for item in range(1, data.item_num):
        number = int(data.id2token("item_id", item)[1:])
        assert data.text_source.texts[item] == f"Title number {number}. Kind {number % 4}"
    matrix = data.text_source.matrix()
    assert matrix.vectors.shape == (data.item_num, 4)
    assert not matrix.present[0] and matrix.present[1:].all() and (matrix.vectors[0] == 0).all()


def test_ml_latest_small_keeps_its_catalogue() -> None:
    root = real_data("ml-latest-small")
    config = make_config("LongInterest", "ml-latest-small", config_dict={"data_path": str(root)})
    data = create_dataset(config)
    assert (data.item_num, len(data.inter_feat)) == (9725, 100836)
    titles = pd.read_csv(
        root / "ml-latest-small" / "ml-latest-small.item", sep="\t", dtype=str, quoting=3, na_filter=False
    )
    by_token = dict(zip(titles["item_id:token"], titles["title:token_seq"], strict=True))
    for item in range(1, data.item_num, 97):
        title = " ".join(by_token[data.id2token("item_id", item)].split())
        assert data.text_source.texts[item].startswith(title)


def test_item_without_text_is_zero_and_counted(small_config: Callable[..., Config]) -> None:
    item = "\n".join(line for line in synthetic_item().split("\n") if not line.startswith("i3\t"))
    data = create_dataset(small_config(item=item))
    row = data.token2id("item_id", "i3")
    matrix = data.text_source.matrix()
    assert not matrix.present[row] and (matrix.vectors[row] == 0).all()
    assert int(matrix.present.sum()) == data.item_num - 2


def test_missing_ratings_stay_missing(small_config: Callable[..., Config], caplog: pytest.LogCaptureFixture) -> None:
    lines = synthetic_inter().split("\n")
    lines[3] = "\t".join([*lines[3].split("\t")[:2], "", lines[3].split("\t")[3]])
    for normalize in (True, None):
        caplog.clear()
        data = create_dataset(small_config("\n".join(lines), normalize_all=normalize))
        assert "1 of" in caplog.text and "have no rating; they are kept" in caplog.text
        train = data.build()[0]
        assert int(data.event_log["rating_list"].isnan().sum()) == 1
        values = train.training_rating_values()
        assert values.tolist() == ([0, 0.25, 0.5, 0.75, 1] if normalize else [1, 2, 3, 4, 5])


def test_rating_levels_come_from_training_events_only(small_config: Callable[..., Config]) -> None:
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    rows = [f"u{u}\ti{i}\t{rating}\t{100 * i}" for u in range(4) for i, rating in enumerate([1, 2, 3, 4, 5])]
    train = create_dataset(small_config("\n".join([header, *rows]))).build()[0]
    # events 4 and 5 are the targets of validation and test; event 3 is only ever the target of a training row
    assert train.training_rating_values().tolist() == [1, 2]


def test_evaluation_rows_hold_the_whole_history(small_config: Callable[..., Config]) -> None:
    config = small_config(synthetic_inter(events=30), MAX_ITEM_LIST_LENGTH=4, one_pass=False)
    train, valid, test = create_dataset(config).build()
    assert int(all_rows(train)["item_length"].max()) == 4
    for part in (valid, test):
        batch = all_rows(part)
        assert int(batch["item_length"].max()) > 20
        assert batch["item_id_list"].shape[1] == int(batch["item_length"].max())
    config = small_config(synthetic_inter(events=30), eval_history_length=6)
    assert int(all_rows(create_dataset(config).build()[2])["item_length"].max()) == 6


def test_time_gap_is_a_property_of_the_event_not_of_the_window(small_config: Callable[..., Config]) -> None:
    inter = synthetic_inter(events=30)
    rows = [line.split("\t") for line in inter.strip().split("\n")[1:]]
    expected, last = [], {}
    for user, _, _, time in rows:  # the file is in order of user and time
        expected.append(int(time) - last[user] if user in last else -1)
        last[user] = int(time)
    data = create_dataset(small_config(inter, eval_history_length=3))
    test = data.build()[2]
    assert data.event_log["time_gap_list"].tolist() == expected
    batch = all_rows(test)
    position = test.inter_feat.position
    assert torch.equal(batch["time_gap_list"][:, 0], data.event_log["time_gap_list"][position - batch["item_length"]])


@pytest.mark.parametrize(
    ("inter", "settings", "message"),
    [
        ("user_id:token\titem_id:token\ttimestamp:float\n", {}, "holds no interaction"),
        ("user_id:token\titem_id:token\ttimestamp:float\nu\ti1\t1\nv\ti2\t2\n", {}, "no user has two events"),
        (
            "user_id:token\titem_id:token\ttimestamp:float\nu\ti1\t1\nu\ti2\t\n",
            {},
            "1 of 2 interactions have no timestamp",
        ),
        ("user_id:token\titem_id:token\nu\ti1\nu\ti2\n", {}, "has no column timestamp to order the histories by"),
        (None, {"exact_order": "maybe"}, "exact_order must be True or False; got 'maybe'"),
        (None, {"eval_history_length": 0}, "eval_history_length must be empty"),
        (None, {"text_fields": ["plot"]}, "plot"),
        (None, {"text_features": "perhaps"}, "text_features must be on or off; got 'perhaps'"),
        (None, {"behavior_features": "on"}, "behavior_features is on, but behavior is not among the columns"),
        (None, {"id_features": "off", "text_features": "off"}, "An item needs id_features or text_features"),
    ],
)
def test_bad_data_gets_one_sentence(
    small_config: Callable[..., Config], inter: str | None, settings: dict[str, Any], message: str
) -> None:
    config = small_config(inter, **settings)
    with pytest.raises(ValueError, match=message):
        create_dataset(config).build()


def test_no_item_file_switches_text_off_or_is_an_error_when_asked_for(
    write_dataset: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    root = write_dataset("noitem", synthetic_inter())
    settings = {**SMALL, "data_path": str(root)}
    data = create_dataset(make_config("LongInterest", "noitem", config_dict=settings))
    assert isinstance(data, LongInterestDataset)
    assert "text" not in data.features and "text_features is off: there is no item file" in caplog.text
    asked = make_config("LongInterest", "noitem", config_dict={**settings, "text_features": "on"})
    with pytest.raises(ValueError, match="text_features is on, but there is no item file"):
        create_dataset(asked)


def test_no_item_matches_the_item_file(small_config: Callable[..., Config]) -> None:
    item = synthetic_item().replace("\ni", "\nother")
    with pytest.raises(ValueError, match="Not one of the 20 items has a text"):
        create_dataset(small_config(item=item))


def test_missing_folder_is_an_error_before_any_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import recbole.data.dataset.dataset as module

    monkeypatch.setattr(module, "decide_download", lambda url: pytest.fail("went to the network"))
    config = Config("LongInterest", "ml-1m", config_dict={"data_path": str(tmp_path)})
    with pytest.raises(ValueError, match=r"There is no data set folder .*ml-1m"):
        create_dataset(config)
    with pytest.raises(ValueError, match=r"There is no data set folder .*ml-1m"):
        make_config("GRU4Rec", "ml-1m", config_dict={"data_path": str(tmp_path)})


def test_loaders_are_windows_for_cross_entropy_and_prefixes_otherwise(small_config: Callable[..., Config]) -> None:
    from recbole.data.dataloader import TrainDataLoader

    from recbole_longinterest.data.train_loader import OnePassDataLoader

    for settings, expected in (
        ({}, OnePassDataLoader),
        ({"one_pass": False}, TrainDataLoader),
        ({"loss_type": "BPR"}, TrainDataLoader),
        ({"loss_type": "ce"}, OnePassDataLoader),
    ):
        config = small_config(**settings)
        assert type(data_preparation(config, create_dataset(config))[0]) is expected
