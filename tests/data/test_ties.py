"""The order of ties: planted ones, the same for every model, in one pass as in prefix rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recbole.data.utils import create_dataset, data_preparation

from recbole_longinterest.common.orders import stable_order
from recbole_longinterest.common.ties import Ties
from recbole_longinterest.data.event_keys import event_keys, token_keys
from recbole_longinterest.data.lookup import dataset_class
from recbole_longinterest.data.ties import shuffle_ties, ties_of_log
from recbole_longinterest.training.settings import make_config
from tests.conftest import SMALL, FakeEncoder, real_data, synthetic_item
from tests.contracts import check_causality, check_one_pass

RANDOM = {"tie_order": "random"}
COLUMNS = {"load_col": {"inter": ["user_id", "item_id", "timestamp"]}, "train_neg_sample_args": None}
HEADER = "user_id:token\titem_id:token\ttimestamp:float\n"
DAY = 86_400


def days(users: int = 40, each: int = 12, a_day: int = 4, items: int = 20, seed: int = 0) -> str:
    """Histories with several events a day, in ascending order of the items' ids, as data sets are handed around."""
    rng = np.random.default_rng(seed)
    lines = []
    for user in range(users):
        for day in range(each // a_day):
            drawn = np.sort(rng.choice(items, a_day, replace=False))
            lines += [f"u{user}\ti{item}\t{10**9 + day * DAY}" for item in drawn]
    return HEADER + "\n".join(lines) + "\n"


@pytest.fixture
def make(write_dataset: Callable[..., Path], fake_encoder: FakeEncoder) -> Callable[..., Any]:
    """Config of a small model of any kind over days of events."""

    def config(model: str = "LongInterest", inter: str | None = None, **settings: Any) -> Any:
        root = write_dataset("tiny", inter or days(), synthetic_item())
        own = SMALL if model == "LongInterest" else {**COLUMNS, "exact_order": True, "state": "ERROR"}
        return make_config(model, "tiny", config_dict={**own, "data_path": str(root), **settings})

    return config


def histories(config: Any) -> dict[str, list[tuple[str, float]]]:
    """Items and times of every user, in the order of the log."""
    data = create_dataset(config)
    data.keeps_times = True
    train = data.build()[0]
    log = train.inter_feat.interaction.log
    users = data.id2token("user_id", log["user_id"].long().numpy())
    items = data.id2token("item_id", train.event_log["item_id_list"].long().numpy())
    found: dict[str, list[tuple[str, float]]] = {}
    for user, item, time in zip(users, items, data.event_times(), strict=True):
        found.setdefault(str(user), []).append((str(item), float(time)))
    return found


def test_ties_are_in_the_order_of_the_file_unless_they_are_to_be_random(make: Callable[..., Any]) -> None:
    file, shuffled = histories(make()), histories(make(**RANDOM))
    assert file == histories(make(tie_order="file", tie_seed=3)) != shuffled
    for user, events in file.items():
        assert [time for _, time in events] == [time for _, time in shuffled[user]]
        assert sorted(events) == sorted(shuffled[user])
        numbers = [int(item[1:]) for item, _ in events]
        assert all(numbers[day : day + 4] == sorted(numbers[day : day + 4]) for day in range(0, len(numbers), 4))


def test_a_seed_without_random_order_is_said(make: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    histories(make(tie_seed=3))
    assert "tie_seed: 3 has no effect while tie_order is file. Set tie_order: random." in caplog.text


def test_another_seed_gives_another_order_and_the_same_one_the_same(make: Callable[..., Any]) -> None:
    seeds = [histories(make(**RANDOM, tie_seed=seed)) for seed in range(3)]
    assert seeds[0] == histories(make(**RANDOM, tie_seed=0, seed=7)) == histories(make(**RANDOM))
    assert seeds[0] != seeds[1] != seeds[2] != seeds[0]


def test_every_model_reads_the_same_order(make: Callable[..., Any]) -> None:
    own = histories(make(**RANDOM, tie_seed=1))
    for model in ("GRU4Rec", "SASRec", "FPMC"):
        more = {"train_neg_sample_args": {"distribution": "uniform", "sample_num": 1}} if model == "FPMC" else {}
        assert histories(make(model, **RANDOM, tie_seed=1, **more)) == own


def test_the_order_depends_on_the_tied_events_alone(make: Callable[..., Any]) -> None:
    """Another order of the file, events of others and filters leave it; two users do not share it."""
    whole = histories(make(**RANDOM))
    lines = days().removeprefix(HEADER).splitlines()
    rng = np.random.default_rng(1)
    mixed = HEADER + "\n".join(lines[place] for place in rng.permutation(len(lines))) + "\n"
    assert {user: whole[user] for user in sorted(whole)} == dict(sorted(histories(make(inter=mixed, **RANDOM)).items()))
    some = HEADER + "\n".join(line for line in lines if line.split("\t")[0] in ("u3", "u4")) + "\n"
    assert histories(make(inter=some, **RANDOM)) == {user: whole[user] for user in ("u3", "u4")}
    fewer = histories(make(**RANDOM, item_inter_num_interval="[26,inf)"))
    kept = {item for events in fewer.values() for item, _ in events}
    assert 5 < len(kept) < 20
    for user, events in fewer.items():
        assert events == [event for event in whole[user] if event[0] in kept]
    same = HEADER + "".join(f"u{user}\ti{item}\t1000000000\n" for user in range(50) for item in range(4))
    orders = {tuple(item for item, _ in events) for events in histories(make(inter=same, **RANDOM)).values()}
    assert len(orders) > 15  # of 24


def test_orders_are_as_likely_as_each_other() -> None:
    """Every order of three tied events is drawn about as often: 6,000 users, chi squared with 5 degrees of freedom."""
    users, items = np.repeat(np.arange(6000), 3), np.tile(np.arange(3), 6000)
    times = np.zeros(len(users))
    keys = event_keys(token_keys([f"u{u}" for u in users]), token_keys([f"i{i}" for i in items]), times)
    order = shuffle_ties(np.arange(len(users)), users, times, 0, lambda rows: keys[rows])
    assert (users[order] == users).all()
    _, counts = np.unique(items[order].reshape(-1, 3), axis=0, return_counts=True)
    assert len(counts) == 6 and ((counts - 1000) ** 2 / 1000).sum() < 20.5  # p = 0.001
    again = shuffle_ties(np.arange(len(users)), users, times, 1, lambda rows: keys[rows])
    assert 0.1 < (items[order].reshape(-1, 3) == items[again].reshape(-1, 3)).all(axis=1).mean() < 0.23  # 1 / 6


def test_only_ties_move() -> None:
    rng = np.random.default_rng(0)
    users, times = rng.integers(0, 30, 500), rng.integers(0, 9, 500).astype(float)
    order = stable_order(users, times)
    keys = rng.integers(0, 2**63, 500).astype(np.uint64)
    shuffled = shuffle_ties(order, users[order], times[order], 0, lambda rows: keys[rows])
    assert (users[shuffled] == users[order]).all() and (times[shuffled] == times[order]).all()
    assert (shuffled != order).any() and sorted(shuffled) == sorted(order)
    apart = np.arange(500.0)
    assert shuffle_ties(np.arange(500), users, apart, 0, lambda rows: keys[rows]).tolist() == list(range(500))


def test_one_pass_equals_prefix_rows_and_is_causal(make: Callable[..., Any]) -> None:
    check_one_pass(make, **RANDOM)
    check_causality(make, **RANDOM)


@pytest.mark.parametrize("model", ["GRU4Rec", "SASRec"])
def test_windows_of_recboles_models_hold_the_targets_of_their_prefix_rows(make: Callable[..., Any], model: str) -> None:
    found = []
    for one_pass in (True, False):
        config = make(model, **RANDOM, one_pass=one_pass, loss_type="CE", MAX_ITEM_LIST_LENGTH=20)
        train = data_preparation(config, create_dataset(config))[0]
        pairs = set()
        for batch in train:
            if one_pass:
                target = batch["item_id_target_list"]
                row, place = (target > 0).nonzero(as_tuple=True)
                history, length, target = batch["item_id_list"][row], place + 1, target[row, place]
            else:
                history, length, target = batch["item_id_list"], batch["item_length"], batch["item_id"]
            pairs.update((*history[at, : int(length[at])].tolist(), -1, int(target[at])) for at in range(len(target)))
        found.append(pairs)
    assert found[0] == found[1] and len(found[0]) > 300


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tie_order": "shuffled"}, "tie_order must be file or random; got 'shuffled'"),
        ({**RANDOM, "tie_seed": -1}, "tie_seed must be a whole number from 0 to 4294967295; got -1"),
        ({**RANDOM, "tie_seed": "one"}, "tie_seed must be a whole number from 0 to 4294967295; got 'one'"),
        ({"tie_seed": True}, "tie_seed must be a whole number from 0 to 4294967295; got True"),
        ({**RANDOM, "exact_order": False}, "tie_order: random needs exact_order: True, because .* Set it."),
        (
            {**RANDOM, "benchmark_filename": ["a", "b", "c"]},
            "tie_order: random needs the whole log, but the files of benchmark_filename",
        ),
    ],
)
@pytest.mark.parametrize("model", ["LongInterest", "GRU4Rec"])
def test_what_cannot_be_is_said(make: Callable[..., Any], settings: dict[str, Any], message: str, model: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_dataset(make(model, **settings))


def test_random_ties_bring_the_flat_log(make: Callable[..., Any]) -> None:
    """RecBole's own data set would sort them by the file, whatever was asked for."""
    with pytest.raises(ValueError, match="tie_order: random needs exact_order: True"):
        create_dataset(make("GRU4Rec", exact_order=None, **RANDOM))
    assert dataset_class(make("GRU4Rec", exact_order=None, tie_order="file")).__name__ == "SequentialDataset"


def test_a_saved_data_set_of_another_order_is_not_taken(make: Callable[..., Any]) -> None:
    saved = {"save_dataset": True, "checkpoint_dir": "saved"}
    first = histories(make(**saved))
    assert histories(make(**saved)) == first
    shuffled = histories(make(**saved, **RANDOM))
    assert shuffled == histories(make(**RANDOM)) != first
    assert histories(make(**saved, **RANDOM, tie_seed=1)) == histories(make(**RANDOM, tie_seed=1)) != shuffled
    assert histories(make(**saved)) == first


FIGURES = {  # TIES.md, and the targets of leave-one-out
    "amazon-beauty-5core-norating": Ties(176_139, 77_402, 77_402, 22_363, 14_360, 22_363, 9_719),
    "ml-latest-small": Ties(100_226, 15_790, 15_790, 610, 145, 610, 94),
    "ml-100k": Ties(99_057, 50_561, 25_369, 943, 599, 943, 415),
    "movietweetings": Ties(96_488, 3, 3, 5_973, 0, 5_973, 0),
}


@pytest.mark.parametrize("name", FIGURES)
def test_the_ties_of_real_data(name: str) -> None:
    where = {} if name == "ml-100k" else {"data_path": str(real_data(name))}
    found = {}
    for order in ("file", "random"):
        data = create_dataset(make_config("GRU4Rec", name, config_dict={
            **COLUMNS, **where, "exact_order": True, "tie_order": order, "state": "ERROR",
        }))  # fmt: skip
        data.keeps_times = True
        found[order] = ties_of_log(data, data.build())
    assert found["file"] == FIGURES[name]
    file, shuffled = found["file"], found["random"]
    assert (shuffled.tied, shuffled.valid_tied, shuffled.test_tied) == (file.tied, file.valid_tied, file.test_tied)
    assert not shuffled.ordered
    assert file.ordered == (name in ("amazon-beauty-5core-norating", "ml-latest-small"))


def test_times_are_kept_for_who_asks(make: Callable[..., Any]) -> None:
    data = create_dataset(make())
    data.build()
    assert len(data.event_times()) == 0
    lines = days().removeprefix(HEADER).splitlines()[::-1]  # the log is in another order than the file
    asked = create_dataset(make(inter=HEADER + "\n".join(lines) + "\n"))
    asked.keeps_times = True
    asked.build()
    times = asked.event_times().reshape(40, 12)
    assert (times == 10**9 + np.repeat(np.arange(3) * DAY, 4)).all()
