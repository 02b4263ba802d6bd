"""A served model: the scores of the checkpoint, without RecBole, and a stated answer to any input."""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_longinterest.nn.sources import Behavior, SourceSpec
from recbole_longinterest.plugin.fixes.load_model import load_data_and_model
from recbole_longinterest.serving.event_tables import histories_of
from recbole_longinterest.serving.events import OWN, Event, EventReader
from recbole_longinterest.serving.model_folder import ITEMS, SETTINGS, WEIGHTS, ExportError, write_folder
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.scorer import top_k
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.export import export_checkpoint
from tests.conftest import synthetic_inter
from tests.served import random_served, signed_again

EVENTS = [Event("i1", 5, None, 100), Event("i2", 3, None, 200), Event("i3", None, None, 250)]


@pytest.fixture
def make_export(small_config: Callable[..., Any], tmp_path: Path) -> Callable[..., Path]:
    """Train a small model on synthetic data and export it; keywords are settings."""

    def make(inter: str | None = None, **settings: Any) -> Path:
        run = pipeline.run(small_config(inter, **settings))
        export_checkpoint(run.checkpoint, tmp_path / "exported")
        (tmp_path / "checkpoint").write_text(str(run.checkpoint))
        return tmp_path / "exported"

    return make


@pytest.fixture
def model(make_export: Callable[..., Path]) -> Recommender:
    return Recommender.load(make_export())


def assert_scores_of_the_checkpoint(checkpoint: Path, model: Recommender, users: pd.DataFrame | None = None) -> int:
    """Every test user's scores from raw values equal `full_sort_predict`; returns their number.

    Args:
        checkpoint: of the model.
        model: its export.
        users: columns of the users by user token, if the model reads any.
    """
    config, trained, dataset, _, _, test = load_data_and_model(checkpoint)
    trained.eval()
    raw = pd.read_csv(Path(config["data_path"]) / f"{config['dataset']}.inter", sep="\t", dtype=str)
    raw.columns = [name.partition(":")[0] for name in raw.columns]
    raw[["rating", "timestamp"]] = raw[["rating", "timestamp"]].astype(float)
    histories = model.read_table(raw if users is None else raw.join(users, on="user_id"))
    checked = 0
    for batch, _, _, _ in test:
        with torch.no_grad():
            expected = trained.full_sort_predict(batch)
        users = dataset.id2token("user_id", batch["user_id"])
        past = [histories[user].keep(slice(0, len(histories[user]) - 1)) for user in users]  # leave-one-out
        past = [replace(each, at=float(histories[user].time[-1])) for user, each in zip(users, past, strict=True)]
        seen = [model.window(history)[0].numpy() for history in past]
        got = model.scores_of(model.interest(past), seen, model.recent(past))
        torch.testing.assert_close(got[:, 1:], expected[:, 1:], rtol=0, atol=1e-5)
        checked += len(users)
    return checked


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"logits": "cosine", "rnn_type": "GRU", "attention_heads": 2, "fusion": "gated", "residual": True},
        {"attention": "off", "num_layers": 2},
        {"normalize_all": True},
        {"eval_history_length": 4},
        {"text_features": "off", "rating_features": "off", "time_features": "off"},
        {"id_features": "off"},
        {"request_time": True, "normalize_all": True},
    ],
)
def test_scores_equal_full_sort_predict(
    make_export: Callable[..., Path], tmp_path: Path, settings: dict[str, Any]
) -> None:
    model = Recommender.load(make_export(**settings))
    assert assert_scores_of_the_checkpoint(Path((tmp_path / "checkpoint").read_text()), model) > 20


def test_ratings_are_scaled_by_the_range_of_the_training_part(make_export: Callable[..., Path], tmp_path: Path) -> None:
    table = pd.read_csv(io.StringIO(synthetic_inter()), sep="\t", dtype=str)
    last = table.assign(time=table["timestamp:float"].astype(float)).groupby("user_id:token")["time"].idxmax()
    table.loc[last, "rating:float"] = "9"  # test targets, which training never shows
    model = Recommender.load(make_export(table.to_csv(sep="\t", index=False), normalize_all=True))
    assert model.served.sources[0].settings["range"][1] < 9
    assert assert_scores_of_the_checkpoint(Path((tmp_path / "checkpoint").read_text()), model) > 20


def test_behaviours_have_the_names_that_training_gave_them(make_export: Callable[..., Path]) -> None:
    lines = synthetic_inter().strip().split("\n")
    inter = "\n".join(
        [lines[0] + "\tbehavior:token", *(f"{x}\t{('detail', 'buy')[i % 2]}" for i, x in enumerate(lines[1:]))]
    )
    model = Recommender.load(make_export(inter, behavior_map={"detail": "view"}))
    of_file, of_model = (model.recommend([Event("i1", 5, kind, 1)], 5, False).items for kind in ("detail", "view"))
    assert of_file == of_model


def test_behaviours_are_read_by_their_tokens(make_export: Callable[..., Path]) -> None:
    lines = synthetic_inter().strip().split("\n")
    kinds = ["view", "buy", "cart"]
    inter = "\n".join([lines[0] + "\tbehavior:token", *(f"{x}\t{kinds[i % 3]}" for i, x in enumerate(lines[1:]))])
    model = Recommender.load(make_export(inter))
    scores = [model.recommend([Event("i1", 5, kind, 1)], 20, False).items for kind in [*kinds, None]]
    assert len({tuple(item.score for item in items) for items in scores}) == 4
    with pytest.raises(ValueError, match=r"behavior must be one of .*buy.*; got 'bye'"):
        model.recommend([Event("i1", 5, "bye", 1)])


def test_behaviours_that_training_never_showed_are_unknown_ones(
    make_export: Callable[..., Path], tmp_path: Path
) -> None:
    table = pd.read_csv(io.StringIO(synthetic_inter()), sep="\t", dtype=str)
    table["time"] = table["timestamp:float"].astype(float)
    table = table.sort_values(["user_id:token", "time"], kind="stable", ignore_index=True)
    table["behavior:token"] = pd.Series(["view", "buy", ""] * len(table))[: len(table)]
    table.loc[table.groupby("user_id:token").tail(2).index[::2], "behavior:token"] = "gift"  # read for the test target
    model = Recommender.load(make_export(table.drop(columns="time").to_csv(sep="\t", index=False)))
    assert "gift" in model.served.sources[1].settings["tokens"]
    assert assert_scores_of_the_checkpoint(Path((tmp_path / "checkpoint").read_text()), model) > 20


def test_the_result_has_titles_and_falling_scores_and_leaves_seen_items_out(model: Recommender) -> None:
    found = model.recommend(EVENTS, k=5)
    assert [item.title for item in found.items] == [f"Title number {item.item[1:]}" for item in found.items]
    scores = [item.score for item in found.items]
    assert scores == sorted(scores, reverse=True) and len(scores) == 5
    assert not {"i1", "i2", "i3"} & {item.item for item in found.items}
    everything = model.recommend(EVENTS, k=20, exclude_seen=False)
    assert {"i1", "i2", "i3"} < {item.item for item in everything.items}


def test_many_users_get_what_each_gets_alone(model: Recommender) -> None:
    histories = {"a": EVENTS, "b": ["i7"], "c": [{"item": "i9", "rating": 1}], "d": ["nothing known"], "e": []}
    found = model.recommend(histories, k=4)
    for user in "abc":
        alone = model.recommend(histories[user], k=4)
        assert [item.item for item in found[user].items] == [item.item for item in alone.items]
    assert found["d"].unknown == ["nothing known"] and found["d"].items == found["e"].items
    assert [found[user].basis for user in "abcde"] == ["interest"] * 3 + ["popularity"] * 2
    assert model.recommend_many(histories, k=4) == found
    as_list = model.recommend(list(histories.values()), k=4)
    assert as_list == model.recommend_many(list(histories.values()), k=4) == list(found.values())


def test_recommend_many_takes_any_user_and_any_sequence(model: Recommender) -> None:
    found = model.recommend_many({"item": ["i1"], 7: ("i1",)}, 3)
    alone = [item.item for item in model.recommend(["i1"], 3).items]
    assert list(found) == ["item", 7] and all([item.item for item in one.items] == alone for one in found.values())
    assert model.recommend_many([("i1",), ["i1"]], 3) == list(found.values())
    assert model.recommend_many([], 3) == [] and model.recommend_many({}, 3) == {}
    with pytest.raises(ValueError, match="must be a list of events, also for a single event; got 'i1'"):
        model.recommend_many(["i1", "i2"])


def test_explain_is_a_method_or_true_for_the_default_one(model: Recommender) -> None:
    for explain, method in ((True, "removal"), ("removal", "removal"), ("attention", "attention")):
        why = model.recommend(EVENTS, 1, explain=explain).items[0].why
        assert why is not None and why.method == method
    assert model.recommend(EVENTS, 1).items[0].why is None
    with pytest.raises(ValueError, match="method must be one of removal, gradients, attention; got 'lime'"):
        model.recommend(EVENTS, 1, explain="lime")


def test_a_table_of_events_gives_a_table(model: Recommender, caplog: pytest.LogCaptureFixture) -> None:
    table = pd.DataFrame({"user_id": ["a", "b", "a"], "item_id": ["i1", "i7", "i2"], "timestamp": [5, 6, 7]})
    out = model.recommend_batch(table, k=3)
    assert list(out.columns) == ["user_id", "rank", "item_id", "title", "score", "basis"]
    assert list(out["user_id"]) == ["a"] * 3 + ["b"] * 3 and list(out["rank"]) == [1, 2, 3] * 2
    alone = model.recommend([Event("i1", time=5), Event("i2", time=7)], k=3)
    assert list(out["item_id"][:3]) == [item.item for item in alone.items]
    model.recommend_batch(pd.DataFrame({"item_id": ["i1", "zz"]}), k=3)
    assert "1 items are unknown to the model and skipped: zz" in caplog.text
    with pytest.raises(ValueError, match="must have a column item_id; its columns are item"):
        model.recommend_batch(pd.DataFrame({"item": ["i1"]}))


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (["i1"], "must be a pandas DataFrame; got list. For lists and dicts of events use recommend"),
        (pd.DataFrame({"movie": ["i1"]}), "must have a column item_id; its columns are movie"),
        (pd.DataFrame([["i1", "i2"]], columns=["item_id", "item_id"]), "has item_id more than once"),
        (pd.DataFrame({"user_id": ["a", None], "item_id": "i1"}), "has rows without user_id"),
        (pd.DataFrame({"item_id": ["i1", None]}), "has rows without item_id"),
    ],
)
def test_a_table_that_is_none_is_one_sentence(model: Recommender, events: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.recommend_batch(events)


def test_what_a_table_lacks_may_be_pandas_na(model: Recommender) -> None:
    table = pd.DataFrame({"user_id": pd.Categorical(["a", "a"], ["a", "b"]), "item_id": ["i1", "i2"]})
    table["rating"] = pd.array([5, None], dtype="Int64")
    table["timestamp"] = pd.array([100, 200], dtype="Int64")
    table["behavior"] = pd.array(["buy", None], dtype="string")
    plain = [Event("i1", 5, None, 100), Event("i2", None, None, 200)]
    scores = [item.score for item in model.recommend(plain, 3).items]
    assert model.recommend_batch(table, 3)["score"].tolist() == pytest.approx(scores, abs=1e-5)


def test_candidates_alone_are_ranked(model: Recommender, caplog: pytest.LogCaptureFixture) -> None:
    ranked = [item.item for item in model.recommend(EVENTS, k=20).items]
    found = model.recommend(EVENTS, k=9, candidates=["i9", "i1", "zz", "i5"])
    assert [item.item for item in found.items] == [item for item in ranked if item in ("i5", "i9")]  # i1 was seen
    assert "zz" in caplog.text
    with pytest.raises(ValueError, match="knows none of the 2 candidates"):
        model.recommend(EVENTS, candidates=["zz", "yy"])


def test_events_are_put_in_the_order_of_their_times(model: Recommender) -> None:
    assert model.recommend(EVENTS[::-1]) == model.recommend(EVENTS)
    mixed = [Event("i1", time=5), Event("i2"), Event("i3", time=4)]
    with pytest.raises(ValueError, match="run backwards and some of its events have no time"):
        model.recommend(mixed)


def test_whole_numbers_that_pandas_made_floats_are_whole_numbers() -> None:
    source = Behavior(SourceSpec("behavior", "behavior", "behavior", settings={"tokens": ["[PAD]", "1"]}), dim=2)
    reader = EventReader(["[PAD]", "50", "7.0", "9007199254740992"], {"behavior": source})
    read = reader.read_columns([50.0, 7.0, 2.5, np.inf, 2.0**53], {"behavior": [1.0, None, "1", 1, np.float32(1)]})
    assert read.item_seq.tolist() == [1, 2] and read.unknown == ["2.5", "inf", "9007199254740992.0"]
    assert read.sides["behavior"].tolist() == [1, 0]
    column = pd.DataFrame({"item_id": pd.array([50, None], dtype="Float64")}).dropna()
    fields = {"user": "user_id", "item": "item_id", **dict.fromkeys(OWN, "")}
    (history,) = histories_of(column, fields, reader).values()
    assert history.item_seq.tolist() == [1]
    assert reader.read([{"item": 50.0}, "50.0", "x.0"]).item_seq.tolist() == [1, 1]  # as CSV has it, too


def test_a_window_knows_when_the_event_before_it_was(model: Recommender) -> None:
    history = model.read(EVENTS)
    assert history.last(2).gaps().tolist() == history.gaps()[-2:].tolist() and np.isnan(history.gaps()[0])
    assert history.last(99) is history and history.last(1).keep([0]).gaps().tolist() == history.gaps()[-1:].tolist()


def test_unknown_items_are_skipped_and_reported(model: Recommender) -> None:
    found = model.recommend([EVENTS[0], Event("zz", 5, None, 150), *EVENTS[1:]])
    assert found.unknown == ["zz"] and found.events == 3
    assert found.items == model.recommend(EVENTS).items


def test_k_beyond_the_catalogue_gives_all_there_is(model: Recommender) -> None:
    assert len(model.recommend(EVENTS, k=10**6).items) == model.n_items - 3


def test_a_history_of_everything_has_nothing_left(model: Recommender) -> None:
    with pytest.raises(ValueError, match="every item that may be recommended is in its history"):
        model.recommend([f"i{i}" for i in range(20)])


@pytest.mark.parametrize(
    ("history", "options", "message"),
    [
        (["i1"], {"exclude": "i2"}, "exclude must be a list of item tokens; got 'i2'"),
        (["i1"], {"exclude_seen": 2}, "exclude_seen must be True, False, target, all, none"),
        ("i1", {}, "must be a list of events"),
        (b"i1", {}, "must be a list of events"),
        (None, {}, "must be a list of events"),
        ({"a": "i1"}, {}, "must be a list of events, also for a single event; got 'i1'"),
        ({"a": None}, {}, "must be a list of events"),
        (pd.DataFrame({"item_id": ["i1"]}), {}, "For a table of events use recommend_batch"),
        ([("i1", 5), ("i2", 4)], {}, r"An event must be an item token.*got \('i1', 5\)"),
        ([3.5], {}, "An event must be an item token"),
        ([{"item": "i1", "stars": 5}], {}, "An event must be an item token"),
        ([Event("i1", "good")], {}, "rating of an event must be a number; got 'good'"),  # type: ignore[arg-type]
        ([Event("i1", time=float("inf"))], {}, "time of an event must be a number; got inf"),
        (["i1"], {"k": 0}, "k must be a whole number of at least 1; got 0"),
        (["i1"], {"k": True}, "k must be a whole number of at least 1"),
        (["i1"], {"k": -1}, "k must be a whole number of at least 1; got -1"),
        (["i1"], {"candidates": "i2"}, "candidates must be a list"),
        (["i1"], {"candidates": 2}, "candidates must be a list of item tokens; got 2"),
        (["i1"], {"candidates": []}, "none of the 0 candidates"),
    ],
)
def test_bad_input_is_one_sentence(model: Recommender, history: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.recommend(history, **options)


def test_a_folder_that_cannot_be_read_is_one_sentence(make_export: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_export()

    def broken(change: Callable[[Path], Any]) -> Path:
        copy = tmp_path / "broken"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        change(copy)
        if (copy / SETTINGS).is_file():
            signed_again(copy)  # what is behind the checksums is checked, too
        return copy

    def settings(copy: Path, **changed: Any) -> None:
        content = json.loads((copy / SETTINGS).read_text())
        (copy / SETTINGS).write_text(json.dumps({**content, **changed}))

    def items(copy: Path, **changed: Any) -> None:
        content = json.loads((copy / ITEMS).read_text())
        (copy / ITEMS).write_text(json.dumps({**content, **changed}))

    def cut(name: str, keep: float = 0.5) -> Callable[[Path], Any]:
        return lambda copy: (copy / name).write_bytes((copy / name).read_bytes()[: int(100 * keep)])

    for change, message in (
        (lambda copy: shutil.rmtree(copy), "does not exist. Make one: recbole-li export"),
        (lambda copy: (copy / SETTINGS).unlink(), "has no settings.json"),
        (lambda copy: settings(copy, version=4), "has version 4, but only versions up to 3 can be read"),
        (lambda copy: settings(copy, format="x"), "has another format"),
        (cut(SETTINGS), "is broken or was cut short"),
        (cut(WEIGHTS), "is broken: .*Export the checkpoint again"),
        (lambda copy: (copy / ITEMS).unlink(), r"items\.json is not in the folder's manifest\.json"),
        (lambda copy: settings(copy, history_limit="x"), "history_limit in settings.json must be null or a whole"),
        (lambda copy: settings(copy, sources=[{}]), "is broken: .*Export the checkpoint again"),
        (lambda copy: items(copy, titles=["a"]), "in items.json must be lists of one length"),
        (lambda copy: items(copy, tokens=None), "in items.json must be lists of one length"),
        (
            lambda copy: items(copy, tokens=[], titles=[], categories=[], recent=[]),
            "tokens and titles in items.json must be texts",
        ),
        (lambda copy: settings(copy, options={"hidden_size": 8}), "embedding_size must be a whole number"),
    ):
        with pytest.raises(ValueError, match=message):
            Recommender.load(broken(change))
    content = json.loads((folder / SETTINGS).read_text())
    with pytest.raises(ExportError, match="do not fit its settings"):
        Recommender.load(broken(lambda copy: settings(copy, options={**content["options"], "hidden_size": 16})))


HEAVY = ("recbole", "ray", "transformers", "pandas", "pyarrow", "scipy", "onnx", "onnxruntime", "jinja2", "matplotlib")


def test_serving_needs_torch_numpy_and_safetensors_only(tmp_path: Path, python: Callable[..., Any]) -> None:
    """A model is loaded and recommends, from a list and from a state, where nothing heavy can be imported."""
    write_folder(random_served(), tmp_path / "m")
    code = f"""
import sys
for name in {HEAVY!r}:
    sys.modules[name] = None  # an import of it fails
from recbole_longinterest.serving.recommender import Recommender
model = Recommender.load(sys.argv[1])
state = model.start()
state.update("i1")
print(len(state.recommend(5).items), state.recommend(5).items == model.recommend(["i1"], 5).items)
print(bool(model.recommend(["i1"], 5, explain=True).items[0].why), "torch.onnx" in sys.modules)
"""
    assert python(code, str(tmp_path / "m")).stdout == "5 True\nTrue False\n"


def test_nothing_heavy_is_imported_to_load_a_model(
    tmp_path: Path, python: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECBOLE_LI_REGISTER", "off")  # as environments of before may still have it; it says nothing
    write_folder(random_served(), tmp_path / "m")
    code = f"""
import sys
from recbole_longinterest.serving.recommender import Recommender
Recommender.load(sys.argv[1])
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    assert python(code, str(tmp_path / "m")).stdout == "[]\n"


@pytest.mark.slow
@pytest.mark.parametrize("number", [1_000_000])
def test_a_million_events_are_read_in_bounded_memory(model: Recommender, number: int) -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    table = pd.DataFrame({"item_id": [f"i{i % 19}" for i in range(number)], "timestamp": range(number)})
    (found,) = model.recommend_histories(model.read_table(table), 5).values()
    assert found.events == number and [item.item for item in found.items] == ["i19"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000  # kB


def test_top_k_stays_on_the_device() -> None:
    values, places = top_k(torch.empty(2, 9000, device="meta"), 3)
    assert values.device.type == places.device.type == "meta" and values.shape == places.shape == (2, 3)


@pytest.mark.parametrize(("items", "k"), [(7, 7), (1000, 3), (64 * 90 + 5, 11), (64 * 90, 1)])
def test_top_k_is_torchs(items: int, k: int) -> None:
    generator = torch.Generator().manual_seed(items)
    scores = torch.randn(5, items, generator=generator)
    scores[1, ::2] = -torch.inf
    scores[2, 5:] = -torch.inf
    scores[3] = scores[3].round()  # ties
    scores[4, -3:] = 9.0  # beyond the last whole block
    values, places = top_k(scores, k)
    assert torch.equal(values, scores.topk(k, dim=1).values)
    assert torch.equal(scores.gather(1, places), values)
    assert all(len(set(row)) == k for row in places.tolist())
