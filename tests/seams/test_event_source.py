"""A kind of event feature from a file of its own; any column of .inter and .user as a feature."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from recbole.config import Config
from recbole.data import create_dataset
from recbole.quick_start import load_data_and_model
from torch import Tensor

from recbole_longinterest import (
    Event,
    InterestState,
    Recommendation,
    Recommender,
    export_checkpoint,
    make_config,
    run,
    update_checkpoint,
)
from recbole_longinterest.cli.histories import read_events
from recbole_longinterest.nn.sources import EVENT_SOURCES, Column, EventSource, register_event_source
from recbole_longinterest.serving.events import History
from recbole_longinterest.serving.state import states_of
from tests.conftest import synthetic_inter
from tests.contracts import build, check_causality, check_contracts, check_one_pass, check_served, random_columns

# --- a source in one file --------------------------------------------------------------------------------------------


class Daytime(EventSource):
    """An hour of the day, 0 to 24: night, morning, afternoon, evening."""

    column_kinds: ClassVar[tuple[str, ...]] = ("float",)

    @classmethod
    def fit(cls, column: Column) -> dict[str, Any]:
        return {"hours": 6}

    @classmethod
    def count(cls, settings: Mapping[str, Any]) -> int:
        return 24 // settings["hours"] + 1

    def levels(self, values: Tensor) -> Tensor:
        quarter = (values / self.spec.settings["hours"]).nan_to_num(nan=-1.0).floor().long() + 1
        return quarter.clamp(0, self.num_embeddings - 1)

    def step_levels(self, values: Tensor) -> Tensor:
        edges = torch.tensor([float(self.spec.settings["hours"] * k) for k in range(self.num_embeddings - 1)])
        return (values.unsqueeze(1) >= edges).sum(dim=1)

    def read(self, raw: object) -> np.float32:
        return np.float32(math.nan if raw is None else float(str(raw)))

    def read_all(self, raw: Any) -> NDArray[np.float32]:
        return np.array([self.read(value) for value in raw], dtype=np.float32)


@pytest.fixture
def daytime() -> Any:
    register_event_source("daytime", Daytime)
    yield
    EVENT_SOURCES.remove("daytime")


COLUMNS: dict[str, Callable[[np.random.Generator], str]] = {
    "hour:float": lambda rng: f"{rng.uniform(0, 24):.2f}" if rng.random() > 0.1 else "",
    "device:token": lambda rng: ["phone", "desktop", "tablet", ""][rng.integers(4)],
    "tags:token_seq": lambda rng: " ".join(f"t{i}" for i in rng.integers(0, 5, rng.integers(0, 4))),
}
USERS = pd.DataFrame(
    {
        "age": [str(20 + 3 * i) if i % 7 else None for i in range(30)],
        "job": [["nurse", "clerk", "cook"][i % 3] for i in range(30)],
        "hobbies": [["chess", "chess go", ""][i % 3] for i in range(30)],
    },
    index=[f"u{i}" for i in range(30)],
)
ALL = {"event_features": ["hour", "device", "tags"], "user_features": ["age", "job", "hobbies"]}


@pytest.fixture
def config_of(small_config: Callable[..., Config], tmp_path: Path) -> Callable[..., Config]:
    """A config over events with more columns, and users."""

    def make(**settings: Any) -> Config:
        config = small_config(random_columns(synthetic_inter(), COLUMNS), **settings)
        rows = [
            "\t".join([user, *(cell if isinstance(cell, str) else "" for cell in row)])
            for user, *row in USERS.itertuples()
        ]
        text = "\n".join(["user_id:token\tage:float\tjob:token\thobbies:token_seq", *rows]) + "\n"
        (Path(config["data_path"]) / "tiny.user").write_text(text)
        return config

    return make


# --- what they hold --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("daytime")
def test_a_kind_of_ones_own(config_of: Callable[..., Config], tmp_path: Path) -> None:
    model = check_contracts(config_of, tmp_path / "model", event_features=[{"hour": "daytime"}])
    assert isinstance(model.network.fusion.sources["hour"], Daytime)


@pytest.mark.parametrize(
    "settings",
    [
        ALL,
        {**ALL, "fusion": "gated", "rating_features": "off", "time_features": "off"},
        {"event_features": "device", "normalize_all": True},
        {"event_features": ["hour"], "normalize_all": True},
        {"user_features": ["age"], "rnn_type": "GRU"},
    ],
)
def test_columns_of_events_and_users(
    config_of: Callable[..., Config], tmp_path: Path, settings: dict[str, Any]
) -> None:
    check_one_pass(config_of, **settings)
    check_causality(config_of, **settings)
    check_served(config_of, tmp_path / "model", users=USERS, **settings)


def test_the_targets_own_columns_are_not_read(config_of: Callable[..., Config]) -> None:
    config = config_of(**ALL)
    model, _ = build(config)
    model.eval()
    *_, test = create_dataset(config).build()
    batch = test[list(range(len(test)))]
    with torch.no_grad():
        before = model.full_sort_predict(batch)
        for column in ("hour", "device", "tags", "rating", "timestamp"):
            batch[column] = torch.ones_like(batch[column])
        assert torch.equal(model.full_sort_predict(batch), before)


def test_levels_are_learned_from_the_training_part_alone(config_of: Callable[..., Config]) -> None:
    """What only held-out events have is missing: a token there is no level, and a number no value."""
    config = config_of(event_features=["device", "hour"])
    file = Path(config["data_path"]) / "tiny.inter"
    table = pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False)
    table["time"] = table["timestamp:float"].astype(float)
    last = table.sort_values("time").groupby("user_id:token").tail(2).index
    table.loc[last, ["device:token", "hour:float"]] = ["watch", "99"]
    table.drop(columns="time").to_csv(file, sep="\t", index=False)
    train, *_ = create_dataset(config).build()
    specs = {spec.name: spec.settings for spec in train.event_sources()}
    tokens = specs["device"]["tokens"]
    assert "watch" in tokens and tokens.index("watch") in specs["device"]["unseen"]
    assert max(specs["hour"]["values"]) < 24
    assert not (train.event_log["device_list"] == tokens.index("watch")).any()


def assert_same(one: Recommendation, other: Recommendation) -> None:
    """The same items in the same order; scores of a stream and a batch may differ in the last bits."""
    assert [item.item for item in one.items] == [item.item for item in other.items]
    assert [item.score for item in one.items] == pytest.approx([item.score for item in other.items], rel=1e-4)


def test_a_stream_knows_its_user(config_of: Callable[..., Config], tmp_path: Path) -> None:
    done = run(config_of(**ALL))
    assert done.checkpoint is not None
    export_checkpoint(done.checkpoint, tmp_path / "model")
    model = Recommender.load(tmp_path / "model")
    user = {"age": 41, "job": "cook", "hobbies": ["chess", "go"]}
    events = [
        Event("i3", rating=4, time=10, features={"device": "phone", "tags": ["t1", "t2"]}),
        {"item": "i5", "rating": 2, "time": 70, "hour": 7.5},
    ]
    state = model.start(user)
    for event in events:
        state.update(event)
    expected = model.recommend(events, 5, user=user)
    assert_same(state.recommend(5), expected)
    again = InterestState.from_bytes(model, state.to_bytes())
    assert again.user == user
    again.update("i7")
    assert_same(again.recommend(3), model.recommend([*events, "i7"], 3, user=user))
    others = model.recommend_many([events, events], 5, users=[user, None])
    assert_same(others[0], expected)
    assert [item.score for item in others[1].items] != pytest.approx([item.score for item in expected.items], rel=1e-6)
    with pytest.raises(ValueError, match=r"user_features \(age, job, hobbies\); got 'sex'"):
        model.start({"sex": "F"})
    with pytest.raises(ValueError, match="with item and maybe rating, behavior, time, hour, device, tags"):
        model.recommend([{"item": "i3", "colour": "red"}])


def test_an_explanation_names_the_sources(config_of: Callable[..., Config], tmp_path: Path) -> None:
    done = run(config_of(**ALL))
    assert done.checkpoint is not None
    export_checkpoint(done.checkpoint, tmp_path / "model")
    why = Recommender.load(tmp_path / "model").recommend(["i3", "i4"], 1, explain=True).items[0].why
    assert why is not None
    assert {"id", "text", "rating", "time", "hour", "device", "tags", "user_age", "user_job"} < set(why.sources)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"event_features": ["colour"]}, "colour cannot be read: colour is not among the columns loaded from .inter"),
        ({"user_features": ["sex"]}, "user_sex cannot be read: .*tiny.user has no column sex; it has user_id, age"),
        ({"event_features": ["rating"]}, "event_features names rating, which is already read"),
        ({"event_features": ["hour", "hour"]}, "event_features names hour more than once"),
        ({"event_features": [["hour"]]}, "event_features must be a list of columns"),
        ({"event_features": {"hour": "clock"}}, "The kind of a source must be one of rating, behavior.*; got 'clock'"),
        ({"event_features": [{"device": "number"}]}, "device is a column of token, and a source of kind number cannot"),
        ({"event_features": ["hour"], "source_levels": {"hour": "x"}}, "source_levels.hour must be a list of numbers"),
        ({"event_features": ["hour"], "source_levels": [0, 6]}, "source_levels must map sources to lists of numbers"),
        ({"user_features": ["age"], "source_levels": {"age": [1]}}, r"must name sources of .* \(user_age\); got age"),
        (
            {"source_levels": {"rating": [1]}},
            r"\(there are none\); got rating. Set rating_levels for the ratings",
        ),
        ({"event_features": ["device"], "source_levels": {"device": [1]}}, "source_levels.device must be left out"),
        ({"event_features": ["type"]}, "event_features names type, which is a reserved name"),
        ({"event_features": ["time_gap"]}, "event_features names time_gap, which is a reserved name"),
        ({"event_features": ["item"]}, "event_features names item, which is a reserved name"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    config_of: Callable[..., Config], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(config_of(**settings))


@pytest.mark.parametrize("column", ["rating_list", "item_id_list"])
def test_a_column_with_the_name_of_a_history_is_refused(small_config: Callable[..., Config], column: str) -> None:
    inter = random_columns(synthetic_inter(), {f"{column}:float": lambda rng: str(rng.integers(9))})
    with pytest.raises(
        ValueError, match=f"{column} is also the name of the history field of {column.removesuffix('_list')}"
    ):
        create_dataset(small_config(inter, event_features=[column]))


def test_levels_may_be_given(config_of: Callable[..., Config]) -> None:
    model, _ = build(config_of(event_features=["hour"], source_levels={"hour": [0, 12]}))
    source = model.fusion.sources["hour"]
    assert source.levels(torch.tensor([math.nan, 1.0, 11.0, 30.0])).tolist() == [0, 1, 2, 2]


def test_an_update_takes_in_new_tokens(config_of: Callable[..., Config], tmp_path: Path) -> None:
    done = run(config_of(event_features=["device"], user_features=["job"]))
    assert done.checkpoint is not None
    new = tmp_path / "new.inter"
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float\thour:float\tdevice:token\ttags:token_seq"
    rows = [f"u{i}\ti{(i + k) % 20}\t3\t{2 * 10**9 + k}\t1\twatch\t" for i in range(30) for k in range(4)]
    new.write_text("\n".join([head, *rows]) + "\n")
    updated = update_checkpoint(done.checkpoint, new)
    export_checkpoint(updated.checkpoint, tmp_path / "model")
    model = Recommender.load(tmp_path / "model")
    assert "watch" in model.served.sources[2].settings["tokens"] and model.served.sources[2].name == "device"
    assert model.recommend([{"item": "i1", "device": "watch"}], 3).items


def test_an_update_of_a_column_without_a_value(config_of: Callable[..., Config], tmp_path: Path) -> None:
    """A column of numbers that training never shows has no level, and keeps none."""
    config = config_of(event_features=["hour"])
    file = Path(config["data_path"]) / "tiny.inter"
    table = pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False)
    table["hour:float"] = ""
    table.to_csv(file, sep="\t", index=False)
    done = run(config)
    assert done.checkpoint is not None
    new = tmp_path / "new.inter"
    table.assign(**{"timestamp:float": "2000000000", "hour:float": "7"}).head(40).to_csv(new, sep="\t", index=False)
    updated = update_checkpoint(done.checkpoint, new)
    model_folder = tmp_path / "model"
    export_checkpoint(updated.checkpoint, model_folder)
    assert Recommender.load(model_folder).reader.sources["hour"].spec.settings["values"] == []


def exported(config: Config, folder: Path, **options: Any) -> Recommender:
    """The model of a training with this config."""
    done = run(config)
    assert done.checkpoint is not None
    export_checkpoint(done.checkpoint, folder, **options)
    return Recommender.load(folder)


def test_commands_read_the_columns(config_of: Callable[..., Config], tmp_path: Path) -> None:
    """Every kind of file gives what the same table gives from Python, and other values give other scores."""
    model = exported(config_of(**ALL), tmp_path / "model")
    table = pd.DataFrame(
        {
            "user_id": "u3",
            "item_id": ["i3", "i5"],
            "timestamp": ["10", "70"],
            "hour": ["7.5", ""],
            "device": ["phone", "fridge"],
            "tags": ["t1 t2", ""],
            "age": "41",
            "job": "cook",
            "hobbies": "chess go",
        }
    )
    table.to_csv(tmp_path / "h.csv", index=False)
    types = ["token", "token", "float", "float", "token", "token_seq", "float", "token", "token_seq"]
    typed = dict(zip(table, types, strict=True))
    table.rename(columns=lambda name: f"{name}:{typed[name]}").to_csv(tmp_path / "h.inter", sep="\t", index=False)
    rows = [{**row, "tags": row["tags"].split(), "hour": row["hour"] or None} for row in table.to_dict("records")]
    (tmp_path / "h.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table[["user_id", "item_id", "timestamp"]].to_csv(tmp_path / "plain.csv", index=False)
    expected = model.recommend_batch(table, 5)
    for name in ("h.csv", "h.inter", "h.jsonl"):
        found = model.recommend_batch(read_events(str(tmp_path / name), model), 5)
        pd.testing.assert_frame_equal(found, expected)
    plain = model.recommend_batch(read_events(str(tmp_path / "plain.csv"), model), 5)
    assert plain["score"].tolist() != pytest.approx(expected["score"].tolist(), rel=1e-6)
    table.assign(hour="noon").to_csv(tmp_path / "h.csv", index=False)
    with pytest.raises(ValueError, match="The hour of an event must be a number; got 'noon'"):
        model.read_table(read_events(str(tmp_path / "h.csv"), model))


def test_sequences_are_split_by_the_separator_of_the_data(config_of: Callable[..., Config], tmp_path: Path) -> None:
    config = config_of(event_features=["tags"], user_features=["hobbies"], seq_separator="|")
    folder = Path(config["data_path"])
    for name in ("tiny.inter", "tiny.user"):
        lines = (folder / name).read_text().split("\n")
        (folder / name).write_text("\n".join(line.replace(" ", "|").replace("t1", "t 1") for line in lines))
    model = exported(config, tmp_path / "model")
    tags = model.reader.sources["tags"]
    tokens = tags.spec.settings["tokens"]
    assert "t 1" in tokens and tags.read("t 1|t2") == [tokens.index("t 1"), tokens.index("t2")]
    assert model.reader.sources["user_hobbies"].read("chess|go") != [0]


def test_a_changed_file_of_users_is_not_the_training_s(config_of: Callable[..., Config], tmp_path: Path) -> None:
    """Its tokens number the rows of a table: others would be taken for those that were trained."""
    config = config_of(user_features=["job"])
    done = run(config)
    assert done.checkpoint is not None
    file = Path(config["data_path"]) / "tiny.user"
    before = file.read_text()
    file.write_text(before.replace("nurse", "actor"))
    new = tmp_path / "new.inter"
    new.write_text((file.parent / "tiny.inter").read_text())
    for use in (
        lambda path: export_checkpoint(path, tmp_path / "model"),
        lambda path: load_data_and_model(str(path)),
        lambda path: update_checkpoint(path, new),
    ):
        with pytest.raises(ValueError, match=r"values of user_job \(.user\) are 3 as before, but others"):
            use(done.checkpoint)
    file.write_text(before)
    export_checkpoint(done.checkpoint, tmp_path / "model")


def test_files_of_users_that_do_not_fit(config_of: Callable[..., Config], caplog: pytest.LogCaptureFixture) -> None:
    config = config_of(user_features=["job"])
    file = Path(config["data_path"]) / "tiny.user"
    whole = file.read_text()
    file.write_text("user_id:token\tjob:token\nnobody\tnurse\n")
    with pytest.raises(ValueError, match=r"tiny.user has none of the 30 users of .inter. Use the same user_id"):
        create_dataset(config).build()
    file.write_text("job:token\nnurse\n")
    with pytest.raises(ValueError, match=r"tiny.user has no column user_id; it has job"):
        create_dataset(config).build()
    file.write_bytes(whole.replace(":token", "ä:token", 1).encode("latin-1"))
    with pytest.raises(ValueError, match="Set the key encoding to the file's own"):
        create_dataset(config)
    file.write_text("".join(whole.splitlines(keepends=True)[:5]))
    caplog.clear()
    create_dataset(config).build()
    assert "26 of 30 users have no job; they get the level 'missing'." in caplog.text


def test_features_of_users_that_cannot_be_meant(config_of: Callable[..., Config], tmp_path: Path) -> None:
    model = exported(config_of(**ALL), tmp_path / "model")
    with pytest.raises(ValueError, match="The user_age of an event must be a number; got 'old'"):
        model.start({"age": "old"})
    for histories in ({"ann": ["i1"]}, [["i1"]]):
        with pytest.raises(ValueError, match="user works for one history"):
            model.recommend(histories, user={"age": 3})  # type: ignore[call-overload]
    for histories, users in (({"ann": ["i1"]}, [{"age": 3}]), ([["i1"], ["i2"]], [{"age": 3}]), ({}, {"ann": {}})):
        with pytest.raises(ValueError, match="users must match histories"):
            model.recommend_many(histories, users=users)  # type: ignore[call-overload]
    for features in (None, ["device"]):
        with pytest.raises(ValueError, match="features of an Event must be a dict from source to value"):
            model.recommend([Event("i1", features=features)])  # type: ignore[arg-type]


def test_states_of_a_table_know_their_users(config_of: Callable[..., Config], tmp_path: Path) -> None:
    """What comes after the table is the same user's; numpy's numbers are kept in bytes."""
    model = exported(config_of(**ALL), tmp_path / "model")
    table = pd.DataFrame({"item_id": ["i3", "i5"], "timestamp": [10, 70], "age": [41, 41], "job": ["cook", None]})
    (state,) = states_of(model, list(model.read_table(table).values()))
    again = InterestState.from_bytes(model, state.to_bytes())
    assert again.user == {"age": 41}
    again.update(Event("i7", time=80))
    user = {"age": np.int64(41)}
    events = [Event("i3", time=10, features={"user_job": "cook"}), Event("i5", time=70), Event("i7", time=80)]
    assert_same(again.recommend(3), model.recommend(events, 3, user=user))
    (plain,) = states_of(model, [model.read(["i3"])])
    assert plain.user is None


@pytest.mark.slow
def test_users_of_ml_100k(tmp_path: Path) -> None:
    """The `.user` file inside RecBole: age, gender and occupation of 943 users, from training to a stream."""
    settings = {"user_features": ["age", "gender", "occupation"], "epochs": 1, "show_progress": False, "state": "ERROR"}
    done = run(make_config("LongInterest", "ml-100k", config_dict={**settings, "text_features": "off"}))
    assert done.checkpoint is not None
    export_checkpoint(done.checkpoint, tmp_path / "model", onnx=True)
    model = Recommender.load(tmp_path / "model", "onnx")
    sources = model.network.fusion.sources
    assert {"user_age", "user_gender", "user_occupation"} < set(sources)
    assert sources["user_gender"].spec.settings["tokens"] == ["[PAD]", "F", "M"]
    assert len(sources["user_occupation"].spec.settings["tokens"]) == 22
    user = {"age": 24, "gender": "M", "occupation": "technician"}
    state = model.start(user)
    events = [Event("50", rating=5, time=880_000_000), Event("181", rating=4, time=880_000_060)]
    for event in events:
        state.update(event)
    history: History = model.read(events, user)
    torch.testing.assert_close(state.interest, model.interest([history]), rtol=1e-4, atol=1e-5)
