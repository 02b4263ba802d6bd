"""The split by global time: what is learned and ranked is older than the validation, whatever comes later."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.data.utils import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

from recbole_longinterest.data.time_split import bounds_of, known_by_then, parts_of, read_time_split, sentence
from recbole_longinterest.training.settings import make_config
from tests.conftest import SMALL, FakeEncoder, synthetic_item

HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
COLUMNS = {"load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]}, "train_neg_sample_args": None}
START = 1_000_000_000  # 2001-09-09
ENDS = [START + 8000, START + 9000]
SPLIT = {"split_by_time": ENDS}


def log(users: int = 30, items: int = 20, seed: int = 0) -> list[str]:
    """Lines of events that are spread over 10,000 seconds, in no order."""
    rng = np.random.default_rng(seed)
    times = START + rng.choice(10_000, users * 12, replace=False)
    return [
        f"u{place % users}\ti{rng.integers(items)}\t{rng.integers(1, 6)}\t{time}" for place, time in enumerate(times)
    ]


def times_of(lines: list[str]) -> np.ndarray:
    return np.array([int(line.rsplit("\t", 1)[1]) for line in lines])


@pytest.fixture
def make(write_dataset: Callable[..., Path], fake_encoder: FakeEncoder) -> Callable[..., Any]:
    """Config of a small model of any kind."""

    def config(model: str = "LongInterest", lines: list[str] | None = None, **settings: Any) -> Any:
        text = HEADER + "\n".join(log() if lines is None else lines) + "\n"
        root = write_dataset("tiny", text, synthetic_item(40))
        own = (
            SMALL
            if model in ("LongInterest", "SASRecAll")
            else {**COLUMNS, "exact_order": True, "state": "ERROR", "epochs": 1}
        )
        return make_config(model, "tiny", config_dict={**own, "data_path": str(root), **settings})

    return config


def rows_of(part: Any) -> pd.DataFrame:
    """User, item, time and history (items, as a text) of the rows of a part, by user and time."""
    batch = part[np.arange(len(part))]
    items = part.id2token("item_id", batch["item_id_list"].numpy())
    lengths = batch["item_length"].tolist()
    table = pd.DataFrame({
        "user": part.id2token("user_id", batch["user_id"].numpy()),
        "item": part.id2token("item_id", batch["item_id"].numpy()),
        "history": [" ".join(row[:length]) for row, length in zip(items, lengths, strict=True)],
    })  # fmt: skip
    return table.sort_values(["user", "history", "item"], ignore_index=True)


@pytest.mark.parametrize("model", ["LongInterest", "GRU4Rec"])
@pytest.mark.parametrize("targets", ["successive", "last", "first"])
def test_parts_are_periods_and_histories_are_whole(make: Callable[..., Any], model: str, targets: str) -> None:
    parts = create_dataset(make(model, split_targets=targets, MAX_ITEM_LIST_LENGTH=50, **SPLIT)).build()
    table = pd.DataFrame([line.split("\t") for line in log()], columns=["user", "item", "rating", "time"])
    table["time"] = table["time"].astype(int)
    table = table.sort_values(["user", "time"])
    rows = []
    for user, events in table.groupby("user"):
        items, period = events["item"].tolist(), np.digitize(events["time"], ENDS).tolist()
        for at in range(1, len(items)):
            of_user = [place for place in range(1, len(items)) if period[place] == period[at]]
            alone = {"successive": at, "last": of_user[-1], "first": of_user[0]}[targets]
            if period[at] == 0 or at == alone:
                rows.append((period[at], user, items[at], " ".join(items[:at])))
    expected = pd.DataFrame(rows, columns=["part", "user", "item", "history"])
    for number, part in enumerate(parts):
        wanted = expected[expected["part"] == number].drop(columns="part")
        wanted = wanted.sort_values(["user", "history", "item"], ignore_index=True)
        pd.testing.assert_frame_equal(rows_of(part), wanted, check_dtype=False)
        assert len(wanted) > 10


def test_windows_hold_training_events_alone(make: Callable[..., Any]) -> None:
    config = make(**SPLIT, MAX_ITEM_LIST_LENGTH=4)
    train, *_ = data_preparation(config, create_dataset(config))
    lines = [line for line in log() if times_of([line])[0] < ENDS[0]]
    pairs = {(line.split("\t")[0], line.split("\t")[1]) for line in lines}
    data, events, targets = train._dataset, 0, 0
    windows = train.windows
    items, users = (data.inter_feat.interaction.log[field].long() for field in ("item_id", "user_id"))
    for start, length in zip(windows.start.tolist(), windows.length.tolist(), strict=True):
        for place in range(start, start + length + 1):  # the last one is a target
            assert (data.id2token("user_id", users[place]), data.id2token("item_id", items[place])) in pairs
            events += 1
    for batch in train:
        targets += int((batch["item_id_target_list"] > 0).sum())
    assert targets == len(data.inter_feat) == len(lines) - len({user for user, _ in pairs}) and events > targets


def later_changes() -> list[str]:
    """The log with other items, ratings and times after the training, more events, a new item and a new user."""
    lines, rng = log(), np.random.default_rng(5)
    for place, time in enumerate(times_of(lines)):
        if time >= ENDS[0]:
            user = lines[place].split("\t")[0]
            lines[place] = f"{user}\ti{rng.integers(20)}\t9.5\t{time + int(rng.integers(-3, 3)) * (time > ENDS[0] + 9)}"
    lines += [f"u{user}\ti{user % 20}\t0.5\t{START + 20_000 + user}" for user in range(30)]
    return [*lines, f"u1\ti33\t1\t{ENDS[0] + 1}", f"late\ti3\t1\t{ENDS[1] + 5}", f"late\ti4\t1\t{ENDS[1] + 6}"]


@pytest.mark.parametrize(
    "model", ["LongInterest", "GRU4Rec", "SASRec", "SASRecAll", "SeqEASE", "TALE", "VSKNN", "STAN"]
)
def test_what_comes_later_changes_nothing_of_the_training(make: Callable[..., Any], model: str) -> None:
    found = []
    more = {"one_pass": True, "loss_type": "CE", "MAX_ITEM_LIST_LENGTH": 8, "normalize_all": True}
    for lines in (log(), later_changes()):
        config = make(model, lines, **SPLIT, **more)
        init_seed(config["seed"], True)
        train, _, test = data_preparation(config, create_dataset(config))
        batches = [{field: batch[field] for field in batch.columns} for batch in train]
        init_seed(config["seed"], True)
        network = get_model(config["model"])(config, train._dataset)
        trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, network)
        trainer.fit(train, None, saved=False, show_progress=False)
        shown = train._dataset.training_events()
        found.append((batches, network.state_dict(), dict(trainer.train_loss_dict), shown, len(test._dataset)))
        if model == "LongInterest":
            assert train._dataset.training_rating_values().tolist() == [0, 0.25, 0.5, 0.75, 1]
            assert train._dataset.number_ranges["rating"] == (1, 5)
    (before, weights, losses, shown, rows), (after, others, other_losses, other_shown, other_rows) = found
    assert len(before) == len(after) and losses == other_losses and torch.equal(shown, other_shown)
    for one, other in zip(before, after, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[field], other[field]) for field in one)
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert rows + 31 == other_rows  # the change is there


def test_targets_of_periods_without_periods_are_said(
    make: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    create_dataset(make("LongInterest", split_by_time=None, split_targets="last"))
    assert "split_targets: last has no effect without split_by_time: [0.8, 0.9]." in caplog.text


def test_an_item_that_nobody_had_is_left_out_and_counted(
    make: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    lines = [*log(), f"u1\ti33\t1\t{ENDS[0] + 1}", f"u2\ti33\t1\t{ENDS[1]}", f"u3\ti34\t1\t{ENDS[1] + 500}"]
    lines += [f"u4\ti35\t1\t{ENDS[0] - 1}", f"u5\ti35\t1\t{ENDS[1] + 7}"]  # this one somebody had
    lines.reverse()  # the new items come first in the file
    with caplog.at_level("INFO"):
        data = create_dataset(make(lines=lines, state="INFO", **SPLIT))
    assert data.left_out == {"events": 3, "items": 2} and data.time_bounds == tuple(ENDS)
    assert "Left out: 3 events of 2 items that have no training event." in caplog.text
    assert data.item_num == 22 and {"i33", "i34"}.isdisjoint(data.field2id_token["item_id"])
    test = rows_of(data.build()[2])
    assert "i35" in test["item"].tolist() and not test["history"].str.contains("i3[34]").any()


def test_an_item_whose_early_events_a_filter_drops_is_left_out_too(make: Callable[..., Any]) -> None:
    lines = [*log(), f"u1\ti33\t1\t{START}", f"u2\ti33\t5\t{ENDS[1] + 1}"]
    data = create_dataset(make("GRU4Rec", lines, val_interval={"rating": "[2,inf)"}, **SPLIT))
    assert "i33" not in data.field2id_token["item_id"] and data.left_out == {"events": 1, "items": 1}


def test_a_saved_data_set_of_another_split_is_not_taken(make: Callable[..., Any]) -> None:
    saved = {"save_dataset": True, "save_dataloaders": True, "checkpoint_dir": "saved"}

    def parts(**settings: Any) -> list[int]:
        config = make(**saved, **settings)
        return [len(loader._dataset) for loader in data_preparation(config, create_dataset(config))]

    first = parts(**SPLIT)
    assert parts(**SPLIT) == first != parts(split_by_time=[START + 7000, START + 9000])
    assert parts(**SPLIT, split_targets="last") != first
    assert parts() != first == parts(**SPLIT)


def test_shares_are_of_the_events_and_a_moment_is_on_one_side() -> None:
    times = np.array([4.0, 1, 2, 2, 2, 3, 9, 8, 7, 6])
    assert bounds_of([0.2, 0.5], times, "tiny") == (2.0, 4.0)  # no event at 2 trains: 1 event instead of 2
    assert bounds_of([2.0, 8.0], times, "tiny") == (2.0, 8.0)
    day = read_time_split({"split_by_time": ["2001-09-09", "2001-09-10T12:00:00+02:00"], "split_targets": None})
    assert day is not None
    seconds = 999_993_600 + 86_400.0 * np.arange(-1, 4)
    assert bounds_of(day, seconds, "tiny") == (999_993_600.0, 999_993_600.0 + 86_400 + 10 * 3600)
    assert sentence((999_993_600.0, 1e12), {"events": 3, "items": 2}) == (
        "The split by time trains on events before 2001-09-09 00:00:00 UTC, validates on those before 1e+12 and tests "
        "on the rest. Left out: 3 events of 2 items that have no training event."
    )


def test_targets_of_a_period() -> None:
    users, times = np.array([0, 0, 0, 0, 1, 1]), np.array([1.0, 5, 6, 9, 5, 9])
    for targets, wanted in (
        ("successive", [0, 1, 1, 2, 1, 2]),
        ("last", [0, -1, 1, 2, 1, 2]),
        ("first", [0, 1, -1, 2, 1, 2]),
    ):
        assert parts_of(users, times, (5, 9), targets).tolist() == wanted
    assert parts_of(users, times, (5, 9), None).tolist() == [0, 1, 1, 2, 1, 2]
    kept = known_by_then(pd.Series(["a", "b", None, "b", "a", "c"]), np.array([1.0, 5, 6, 9, 5, 9]), 5)
    assert kept.tolist() == [True, False, True, False, True, False]


@pytest.mark.parametrize("given", [
    0.8, [0.8], [0.8, 0.9, 1], [0.9, 0.8], [0.8, 2.0], [0.8, "2001-09-09"], ["yesterday", "today"], [True, 2],
    [date(2001, 9, 9), date(2001, 9, 10)], "0.8", [float("nan"), 1.0],
])  # fmt: skip
def test_ends_that_cannot_be_read(given: Any) -> None:
    with pytest.raises(ValueError, match=r"split_by_time must be two shares of the events, as \[0.8, 0.9\], two dates"):
        read_time_split({"split_by_time": given, "split_targets": None})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split_by_time": [0.9, 0.8]}, "split_by_time must be two shares .* the earlier one first"),
        ({**SPLIT, "split_targets": "all"}, "split_targets must be successive, last or first; got 'all'"),
        ({**SPLIT, "exact_order": False}, "split_by_time needs exact_order: True, because .* Set it."),
        (
            {**SPLIT, "benchmark_filename": ["a", "b", "c"]},
            "split_by_time needs the whole log, but the files of benchmark_filename",
        ),
        ({"split_by_time": [1, 2]}, "split_by_time leaves no event of tiny for the training: its times are from 10000"),
        ({"split_by_time": ["2001-09-09T02:00:00", "2021-01-01"]}, "leaves no event of tiny for the test"),
    ],
)
@pytest.mark.parametrize("model", ["LongInterest", "GRU4Rec"])
def test_what_cannot_be_is_said(make: Callable[..., Any], settings: dict[str, Any], message: str, model: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_dataset(make(model, **settings))


def test_dates_need_seconds(make: Callable[..., Any]) -> None:
    lines = [f"{line}000" for line in log()]  # milliseconds
    with pytest.raises(ValueError, match="split_by_time cannot read dates for tiny, whose times are not seconds"):
        create_dataset(make(lines=lines, split_by_time=["2001-09-09", "2001-09-10"]))
    with pytest.raises(ValueError, match="tiny has no times, which split_by_time needs"):
        bounds_of([0.8, 0.9], np.array([np.nan]), "tiny")


def test_ml_100k_by_shares() -> None:
    config = make_config("GRU4Rec", "ml-100k", config_dict={
        **COLUMNS, "exact_order": True, "split_by_time": [0.8, 0.9], "tie_order": "random", "state": "ERROR",
    })  # fmt: skip
    data = create_dataset(config)
    assert data.left_out == {"events": 202, "items": 66} and data.item_num == 1683 - 66
    assert [len(part) for part in data.build()] == [79_248, 9_832, 9_775]
