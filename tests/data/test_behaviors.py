"""Behaviours: kept, renamed, or one of them the target, in training and evaluation, on windows and on prefix rows."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import recbole.data.utils
import torch

from recbole_longinterest.data.behaviors import read_behavior_map, read_target_behaviors, renamed
from recbole_longinterest.training.settings import make_config
from tests.conftest import SMALL, synthetic_item

BEHAVIORS = ("view", "detail", "cart", "purchase")
COLUMNS = ["user_id", "item_id", "rating", "timestamp", "behavior"]


def log(users: int = 20, events: int = 16, seed: int = 3) -> pd.DataFrame:
    """Histories in which a fifth of the events are purchases, and the last purchase is often not the last event."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        for at in range(int(rng.integers(8, events))):
            behavior = BEHAVIORS[rng.choice(4, p=[0.4, 0.2, 0.2, 0.2])]
            rows.append((f"u{user}", f"i{rng.integers(20)}", rng.integers(1, 6), 10**9 + at * 100 + user, behavior))
    return pd.DataFrame(rows, columns=COLUMNS)


def as_file(table: pd.DataFrame) -> str:
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float\tbehavior:token\n"
    return head + table.to_csv(sep="\t", index=False, header=False)


@pytest.fixture
def make(write_dataset: Callable[..., Path], fake_encoder: Any) -> Callable[..., Any]:
    """The three loaders of a model over the log, and the names of the items."""

    def of(model: str, table: pd.DataFrame | None = None, **settings: Any) -> Any:
        root = write_dataset("tiny", as_file(log() if table is None else table), synthetic_item())
        own = SMALL if model == "LongInterest" else {"state": "WARNING", "train_batch_size": 64}
        config = make_config(
            model,
            "tiny",
            config_dict={
                **{"data_path": str(root), "load_col": {"inter": COLUMNS}, "eval_batch_size": 64},
                **{"train_neg_sample_args": None, "MAX_ITEM_LIST_LENGTH": 30, **own, **settings},
            },
        )
        dataset = recbole.data.utils.create_dataset(config)
        return recbole.data.utils.data_preparation(config, dataset)

    return of


def targets_of(loader: Any) -> list[tuple[str, str]]:
    """User and item of every target of a loader."""
    dataset, found = loader._dataset, []
    for batch in loader:
        batch = batch[0] if isinstance(batch, tuple) else batch
        if dataset.target_list_field in batch:
            windows = batch[dataset.target_list_field]
            found += [("", dataset.id2token("item_id", int(item))) for item in windows[windows > 0]]
        else:
            users, items = (dataset.id2token(name, batch[name].numpy()) for name in ("user_id", "item_id"))
            found += zip(users, items, strict=True)
    return sorted((str(user), str(item)) for user, item in found)


def purchases(table: pd.DataFrame, part: int) -> list[tuple[str, str]]:
    """Targets of RecBole's leave-one-out: part 0 is training, 1 validation, 2 test; of two one is for the test."""
    found = []
    for user, events in table.groupby("user_id", sort=False):
        bought = [at for at, name in enumerate(events["behavior"]) if name == "purchase" and at > 0]
        parts = (bought[:1], [], bought[1:]) if len(bought) < 3 else (bought[:-2], bought[-2:-1], bought[-1:])
        found += [(str(user), str(events["item_id"].iloc[at])) for at in parts[part]]
    return sorted(found)


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("LongInterest", {"one_pass": True}),
        ("LongInterest", {"one_pass": False}),
        ("GRU4Rec", {}),
        ("GRU4Rec", {"one_pass": True}),
        ("GRU4Rec", {"lean_sequences": True, "exact_order": True}),
    ],
)
def test_only_the_target_behavior_is_predicted(make: Callable[..., Any], model: str, settings: dict[str, Any]) -> None:
    train, valid, test = make(model, target_behavior="purchase", **settings)
    table = log()
    expected = purchases(table, 0)
    if settings.get("one_pass", model == "LongInterest"):
        expected = sorted(("", item) for _, item in expected)
    assert targets_of(train) == expected
    assert targets_of(valid) == purchases(table, 1) and targets_of(test) == purchases(table, 2)


@pytest.mark.parametrize("model", ["LongInterest", "GRU4Rec"])
def test_all_events_before_a_target_are_its_context(make: Callable[..., Any], model: str) -> None:
    _, _, test = make(model, target_behavior="purchase")
    table = log()
    dataset = test._dataset
    rows = dataset[np.arange(len(dataset))]
    for row in range(len(dataset)):
        user = dataset.id2token("user_id", int(rows["user_id"][row]))
        events = table[table["user_id"] == user]
        target = max(at for at, name in enumerate(events["behavior"]) if name == "purchase" and at > 0)
        length = int(rows["item_length"][row])
        history = dataset.id2token("item_id", rows["item_id_list"][row][:length].numpy())
        behaviors = dataset.id2token("behavior", rows["behavior_list"][row][:length].numpy())
        assert list(history) == list(events["item_id"][:target])
        assert list(behaviors) == list(events["behavior"][:target])


def test_prefix_rows_and_windows_have_the_same_loss(make: Callable[..., Any]) -> None:
    from recbole.utils import get_model, init_seed

    losses = []
    for one_pass in (True, False):
        train, _, _ = make("LongInterest", target_behavior="purchase", one_pass=one_pass, train_batch_size=10**6)
        init_seed(1, True)
        model = get_model("LongInterest")(train._dataset.config, train._dataset).eval()
        losses.append(float(sum(model.calculate_loss(batch) for batch in train).detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_list_of_targets(make: Callable[..., Any]) -> None:
    train, *_ = make("LongInterest", target_behavior=["purchase", "cart"], one_pass=False)
    kept = train._dataset
    behaviors = kept.id2token("behavior", kept.inter_feat["behavior"].numpy())
    assert set(behaviors) == {"purchase", "cart"}


@pytest.mark.parametrize("model", ["LongInterest", "GRU4Rec"])
def test_a_map_renames_and_merges_before_ids_are_given(make: Callable[..., Any], model: str) -> None:
    train, *_ = make(model, behavior_map={"detail": "view", "purchase": "buy"}, target_behavior="buy")
    dataset = train._dataset
    assert sorted(dataset.field2token_id["behavior"]) == ["[PAD]", "buy", "cart", "view"]
    assert set(dataset.id2token("behavior", dataset.inter_feat["behavior"].numpy())) == {"buy"}


@pytest.mark.parametrize("categorical", [True, False])
def test_renaming_keeps_missing_values(categorical: bool) -> None:
    column = pd.Series(["a", None, "b", "c"], dtype="category" if categorical else object)
    assert renamed(column, {"a": "x", "c": "x"}).astype(object).where(column.notna(), None).tolist() == [
        *("x", None, "b", "x"),
    ]


def test_behaviours_that_are_numbers_are_named_by_them() -> None:
    config = {"target_behavior": [1, "2"], "behavior_map": {0: "view", "1": 3}}
    assert read_target_behaviors(config) == ["1", "2"] and read_target_behaviors({"target_behavior": 0}) == ["0"]
    assert read_behavior_map(config) == {"0": "view", "1": "3"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target_behavior": "buy"}, "target_behavior: buy does not occur in tiny, which has: .*purchase"),
        ({"target_behavior": 3}, "target_behavior: 3 does not occur in tiny"),
        ({"target_behavior": 3.5}, r"target_behavior must be a behaviour, a list of behaviours, or empty; got 3\.5"),
        ({"behavior_map": {"a": None}}, "behavior_map must map names to names, .* got {'a': None}"),
        ({"behavior_map": ["a"]}, r"behavior_map must map names to names, .* got \['a'\]"),
        (
            {"target_behavior": "cart", "BEHAVIOR_FIELD": "action"},
            "action is not among the columns loaded from tiny.inter",
        ),
    ],
)
def test_wrong_settings_are_one_sentence(make: Callable[..., Any], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make("LongInterest", **settings)


def test_no_target_with_a_history_is_one_sentence(make: Callable[..., Any]) -> None:
    table = log()
    first = ~table["user_id"].duplicated()
    table["behavior"] = np.where(first, "purchase", "view")
    with pytest.raises(ValueError, match="no event of target_behavior: purchase has an earlier event"):
        make("GRU4Rec", table, target_behavior="purchase")


def test_behaviors_that_training_never_shows_get_the_unknown_level(make: Callable[..., Any]) -> None:
    table = log()
    table.loc[table.groupby("user_id").tail(2).index[::2], "behavior"] = "gift"  # before last: history of the test row
    parts = [loader._dataset for loader in make("LongInterest", table)]
    gift = parts[0].field2token_id["behavior"]["gift"]
    for part in parts:
        behaviors = part.event_log["behavior_list"]
        assert gift not in behaviors and int((behaviors == 0).sum()) == int((table["behavior"] == "gift").sum())
    train, *_ = make("LongInterest")
    assert 0 not in train._dataset.event_log["behavior_list"]


def test_a_behavior_map_of_what_no_event_is_is_said(make: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    make("GRU4Rec", behavior_map={"vew": "buy", "cart": "buy"})
    assert "behavior_map has behaviours that no event has: vew." in caplog.text


def test_ratings_that_are_tokens_are_none(make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    file = as_file(log()).replace("rating:float", "rating:token", 1)
    monkeypatch.setattr(sys.modules[__name__], "as_file", lambda _: file)
    train, *_ = make("LongInterest")
    assert "rating" not in train._dataset.features
    with pytest.raises(ValueError, match=r"rating is a column of token, and ratings are numbers"):
        make("LongInterest", rating_features="on")


@pytest.mark.parametrize("model", ["LongInterest", "GRU4Rec"])
def test_numbers_are_normalised_by_the_training_part_alone(make: Callable[..., Any], model: str) -> None:
    table = log()
    held_out = table.groupby("user_id").tail(2).index
    table.loc[held_out, "rating"] = 50
    train, _, test = (loader._dataset for loader in make(model, table, normalize_all=True, exact_order=True))
    seen = table.drop(held_out)["rating"]
    expected = (table["rating"] - seen.min()) / (seen.max() - seen.min())
    # the log is sorted by user id and time, as the table is
    assert torch.allclose(test.event_log["rating_list"].double(), torch.tensor(expected.to_numpy()), atol=1e-6)
    times = train.event_log.get("timestamp_list")
    assert times is not None and float(times.min()) == 0.0
    assert float(train.inter_feat["rating"].max()) == 1.0 and float(test.inter_feat["rating"].max()) > 10


def test_recboles_order_keeps_recboles_range(make: Callable[..., Any]) -> None:
    table = log()
    table.loc[table.groupby("user_id").tail(1).index, "rating"] = 50
    train, *_ = make("GRU4Rec", table, normalize_all=True, exact_order=False)
    assert float(train._dataset.inter_feat["rating"].max()) == pytest.approx(4 / 49)


def test_behaviors_that_differ_by_case_are_pointed_out(
    make: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    make("GRU4Rec", behavior_map={"cart": "View"})
    assert "Behaviours that differ only by case, spaces, dashes or underscores: View, view. If they are" in caplog.text
    caplog.clear()
    make("GRU4Rec", behavior_map={"cart": "view"})
    assert "Behaviours that differ" not in caplog.text
