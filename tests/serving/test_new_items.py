"""New items by their texts in an exported model."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_longinterest.cli import main
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.model_folder import read_folder, write_folder
from recbole_longinterest.serving.new_items import read_items, with_items
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.text import encoder as encoder_module
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.export import export_checkpoint
from tests.conftest import FakeEncoder
from tests.served import random_model

HISTORY = [Event(f"i{number}", float(number % 5 + 1), time=1e9 + 1000 * number) for number in range(9)]


@pytest.fixture
def folder(
    small_config: Callable[..., Any], fake_encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Path:
    """An exported model of the small data set, whose encoder is the fake one."""
    monkeypatch.setattr(encoder_module, "TextEncoder", lambda *args, **kwargs: fake_encoder)
    run = pipeline.run(small_config(epochs=2))
    assert run.checkpoint is not None
    export_checkpoint(run.checkpoint, tmp_path / "model")
    return tmp_path / "model"


def new_frame(**more: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {"item_id": ["n1", "n2"], "title": ["Title number 3", "Other"], "class": ["Kind 3", ""], **more}
    )


def test_a_new_item_is_recommended_at_once_and_other_scores_stay(folder: Path) -> None:
    model = Recommender.load(folder)
    before = {item.item: item.score for item in model.recommend(HISTORY, 100).items}
    added = model.add_items(new_frame())
    assert added.new == ["n1", "n2"] and added.changed == []
    after = {item.item: item for item in model.recommend(HISTORY, 100).items}
    assert after.keys() == before.keys() | {"n1", "n2"}
    assert {name: after[name].score for name in before} == pytest.approx(before, abs=1e-6)
    assert after["n1"].title == "Title number 3" and model.n_items == len(model.served.items.tokens) - 1
    only = model.recommend(HISTORY, 5, candidates=["n2"]).items
    assert [item.item for item in only] == ["n2"]
    assert model.recommend([*HISTORY, "n1"], 5).unknown == []  # and may stand in a history


def test_an_item_with_a_known_items_text_lies_where_its_text_does(folder: Path) -> None:
    """n1 has the text of i3: the same text vector, made by the projection that was saved."""
    model = Recommender.load(folder)
    model.add_items(new_frame())
    vectors = model.served.weights["item_sources.text.vectors"]
    assert torch.allclose(vectors[model.item_id("n1")], vectors[model.item_id("i3")], atol=1e-5)
    assert not torch.allclose(vectors[model.item_id("n2")], vectors[model.item_id("i3")], atol=1e-2)
    assert not model.network.trained[model.item_id("n1")]


def test_numbers_and_missing_values_as_pandas_has_them(folder: Path) -> None:
    model = Recommender.load(folder)
    asked = pd.DataFrame({"item_id": ["50", "51"], "title": ["1995", "Other"], "class": ["Kind 3", ""]})
    given = pd.DataFrame(
        {"item_id": [50, 51], "title": [1995.0, "Other"], "class": pd.array(["Kind 3", None], dtype="string")}
    )
    one, other = (
        with_items(model.served, table).served.weights["item_sources.text.vectors"] for table in (asked, given)
    )
    assert torch.equal(one, other)
    known = pd.DataFrame({"item_id": ["i3"], "title": ["Title number 3"], "class": ["Kind 3"]})
    assert with_items(model.served, known).changed == []


def test_numbers_in_words_as_the_training_had_them(
    small_config: Callable[..., Any], fake_encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A new price gets the text, and so the vector, of known items with a price of the same word."""
    monkeypatch.setattr(encoder_module, "TextEncoder", lambda *args, **kwargs: fake_encoder)
    rows = "".join(f"i{number}\tLamp\t{number}.50\n" for number in range(20))
    settings = {"text_fields": ["title", "price"], "text_numbers": {"price": [5, 12]}}
    run = pipeline.run(small_config(item=f"item_id:token\ttitle:token_seq\tprice:float\n{rows}", **settings))
    assert run.checkpoint is not None
    export_checkpoint(run.checkpoint, tmp_path / "model")
    model = Recommender.load(tmp_path / "model")
    frame = pd.DataFrame({"item_id": ["n1", "n2"], "title": ["Lamp", "Lamp"], "price": [3.99, 7000]})
    model.add_items(frame)
    vectors = model.served.weights["item_sources.text.vectors"]
    for new, same, other in (("n1", "i3", "i7"), ("n2", "i19", "i3")):
        assert torch.allclose(vectors[model.item_id(new)], vectors[model.item_id(same)], atol=1e-5)
        assert not torch.allclose(vectors[model.item_id(new)], vectors[model.item_id(other)], atol=1e-2)


def test_half_precision_of_another_machine_changes_no_text(folder: Path) -> None:
    model = Recommender.load(folder)
    known = pd.DataFrame({"item_id": ["i3"], "title": ["Title number 3"], "class": ["Kind 3"]})
    weights = {
        **model.served.weights,
        "item_sources.text.vectors": model.served.weights["item_sources.text.vectors"] + 0.02,
    }
    for precision, changed in (("fp32", ["i3"]), ("bf16", [])):
        about = {**model.served.about, "text": {**model.served.about["text"], "text_precision": precision}}
        assert with_items(replace(model.served, weights=weights, about=about), known).changed == changed


def test_a_boost_lifts_new_items_and_leaves_their_order(folder: Path) -> None:
    def scores(boost: float) -> dict[str, float]:
        model = Recommender.load(folder)
        model.add_items(new_frame(), boost=boost)
        model.network.memory = None  # which lends new items a score of its own
        return {item.item: item.score for item in model.recommend(HISTORY, 100).items}

    plain, lifted = scores(1.0), scores(3.0)
    assert {name: score for name, score in lifted.items() if name[0] != "n"} == pytest.approx(
        {name: score for name, score in plain.items() if name[0] != "n"}, abs=1e-6
    )
    assert lifted["n1"] == pytest.approx(3 * plain["n1"], abs=1e-5)
    assert lifted["n2"] == pytest.approx(3 * plain["n2"], abs=1e-5)
    model = Recommender.load(folder)
    before = model.items.clone()
    known = pd.DataFrame({"item_id": ["i3"], "title": ["Title number 3"], "class": ["Kind 3"]})
    assert model.add_items(known, boost=3.0).changed == []  # it was trained
    assert torch.allclose(model.items, before)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_another_boost_is_no_changed_text(folder: Path, tmp_path: Path, precision: str) -> None:
    served = replace(read_folder(folder), precision=precision)
    for boost, other in ((1.0, 3.0), (3.0, 1.0), (2.0, 0.5)):
        write_folder(with_items(served, new_frame(), boost=boost).served, tmp_path / "boosted")
        before = read_folder(tmp_path / "boosted")
        again = with_items(before, new_frame(), boost=other)
        assert again.new == [] and again.changed == []
        key, ids = "item_sources.text.vectors", [before.items.tokens.index(name) for name in ("n1", "n2")]
        lengths = again.served.weights[key][ids].norm(dim=1) / before.weights[key][ids].norm(dim=1)
        assert lengths.tolist() == pytest.approx([other / boost] * 2, rel=0.02)  # and it has the new boost
        texts = new_frame().assign(title=["Title number 3", "Quite another"])
        assert with_items(before, texts, boost=other).changed == ["n2"]


def test_states_go_on(folder: Path) -> None:
    model, other = Recommender.load(folder), Recommender.load(folder)
    state, same = model.start(), other.start()
    for event in HISTORY[:5]:
        state.update(event)
        same.update(event)
    model.add_items(new_frame())
    for event in HISTORY[5:]:
        state.update(event)
        same.update(event)
    assert torch.allclose(state.interest, same.interest, atol=1e-6)
    assert "n1" in {item.item for item in state.recommend(100).items}


def test_a_known_item_gets_the_text_that_is_given_now(folder: Path) -> None:
    model = Recommender.load(folder)
    old = model.served.weights["item_sources.text.vectors"].clone()
    frame = pd.DataFrame(
        {"item_id": ["i4", "i5"], "title": ["Quite another", "Title number 5"], "class": ["x", "Kind 1"]}
    )
    added = model.add_items(frame)
    assert added.new == [] and added.changed == ["i4"]
    moved = (model.served.weights["item_sources.text.vectors"] - old).abs().amax(dim=1) > 1e-4
    assert moved.nonzero().flatten().tolist() == [model.item_id("i4")]
    assert model.served.items.titles[model.item_id("i4")] == "Quite another"


def test_an_int8_export_knows_the_texts_that_did_not_change(folder: Path, tmp_path: Path) -> None:
    write_folder(replace(read_folder(folder), precision="int8"), tmp_path / "small")
    model = Recommender.load(tmp_path / "small")
    before = model.items.clone()
    same = [(f"i{number}", f"Title number {number}", f"Kind {number % 4}") for number in range(20)]
    known = [item for item in same if item[0] in model.served.items.tokens]
    frame = pd.DataFrame(known, columns=["item_id", "title", "class"])
    items = (folder.parent / "data" / "tiny" / "tiny.item").read_text()
    assert all(f"{token}\t{title}\t{kind}" in items for token, title, kind in known)
    assert model.add_items(frame).changed == [] and torch.equal(model.items, before)
    frame.loc[0, "title"] = "Something else"
    assert model.add_items(frame).changed == [frame["item_id"][0]]


def test_a_file_of_items_is_read_as_the_trainings_was(folder: Path, tmp_path: Path) -> None:
    served = read_folder(folder)
    served.about["text"] |= {"field_separator": ";", "encoding": "latin-1"}
    (tmp_path / "more.item").write_text("item_id:token;title:token_seq\nn1;Café\n", encoding="latin-1")
    assert read_items(tmp_path / "more.item", served).to_dict("records") == [{"item_id": "n1", "title": "Café"}]


def test_ready_vectors_and_lists(folder: Path, fake_encoder: FakeEncoder) -> None:
    by_text, by_vector = Recommender.load(folder), Recommender.load(folder)
    frame = pd.DataFrame({"item_id": ["n"], "title": ["A"], "class": [["Kind", "3"]]})
    by_text.add_items(frame)
    by_vector.add_items(pd.DataFrame({"item_id": ["n"]}), vectors=fake_encoder.encode(["A. Kind 3"]))
    assert torch.allclose(by_text.items, by_vector.items, atol=1e-6)
    with pytest.raises(ValueError, match=r"must be 1 rows of 16 finite numbers.*got shape \(1, 3\)"):
        by_vector.add_items(pd.DataFrame({"item_id": ["m"]}), vectors=np.zeros((1, 3)))


def test_what_cannot_be_added_is_said(folder: Path) -> None:
    model = Recommender.load(folder)
    with pytest.raises(ValueError, match="must have a column item_id"):
        model.add_items(pd.DataFrame({"id": ["n"]}))
    with pytest.raises(ValueError, match="has no column class; texts are made of title, class"):
        model.add_items(pd.DataFrame({"item_id": ["n"], "title": ["A"]}))
    with pytest.raises(ValueError, match="1 items have no text, so they cannot be scored: n2"):
        model.add_items(new_frame(**{"title": ["A", None]}))
    with pytest.raises(ValueError, match="item n1 is in the table more than once"):
        model.add_items(pd.concat([new_frame()] * 2))
    with pytest.raises(ValueError, match="has rows without item_id"):
        model.add_items(new_frame(item_id=["n1", None]))
    (folder / "shifted.csv").write_text("item_id,title,class\n5001,Heat,Crime,\n")
    with pytest.raises(ValueError, match="rows with more values than the header has columns"):
        read_items(folder / "shifted.csv", model.served)
    with pytest.raises(ValueError, match="table of items is empty"):
        model.add_items(new_frame()[:0])
    with pytest.raises(ValueError, match=r"boost must be above 0 .*; got -1"):
        model.add_items(new_frame(), boost=-1)
    cosine = replace(model.served, weights={**model.served.weights, "log_scale": torch.zeros(())})
    with pytest.raises(ValueError, match="no effect in a model with cosine logits"):
        with_items(cosine, new_frame(), boost=2.0)
    with pytest.raises(ValueError, match="This model reads no texts"):
        random_model().add_items(new_frame())
    ready = replace(model.served, about={"text": {}})
    with pytest.raises(ValueError, match=r"precomputed text vectors \(text_vectors\)"):
        with_items(ready, new_frame())


def test_the_command_adds_to_the_folder_or_beside_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_frame().to_csv(tmp_path / "items.csv", index=False)
    assert main.main(["add-items", str(folder), str(tmp_path / "items.csv"), "-o", str(tmp_path / "larger")]) == 0
    assert "new items: 2" in capsys.readouterr().out
    assert Recommender.load(folder).item_id("n1") == 0
    model = Recommender.load(tmp_path / "larger")
    assert {"n1", "n2"} <= {item.item for item in model.recommend(HISTORY, 100).items}
    (tmp_path / "more.item").write_text('item_id:token\ttitle:token_seq\tclass:token_seq\nq\t"Quoted" by\tKind\n')
    assert main.main(["add-items", str(folder), str(tmp_path / "more.item")]) == 0
    assert Recommender.load(folder).recommended(Recommender.load(folder).item_id("q"), 0.0).title == '"Quoted" by'
    capsys.readouterr()
    for words, error in (
        ([str(folder), "none.csv"], "The item file none.csv does not exist"),
        ([str(folder), "items.txt"], "must end in .csv or .item"),
        ([str(tmp_path / "nothing"), str(tmp_path / "items.csv")], "does not exist"),
        ([str(folder), str(tmp_path / "items.csv"), "--x=1"], "add-items has no argument --x=1"),
    ):
        assert main.main(["add-items", *words]) == 2
        assert error in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--onnx"], ["--engine", "onnx", "--int8"]])
def test_the_command_writes_the_onnx_files_again(
    folder: Path, tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    checkpoint = str(next(Path("saved").glob("*.pth")))
    assert main.main(["export", checkpoint, "--output", str(tmp_path / "onnx"), *options]) == 0
    new_frame().to_csv(tmp_path / "items.csv", index=False)
    assert main.main(["add-items", str(tmp_path / "onnx"), str(tmp_path / "items.csv")]) == 0
    ours, theirs = (Recommender.load(tmp_path / "onnx", engine=engine).start() for engine in ("torch", "onnx"))
    for event in [*HISTORY, Event("n1", 4.0, time=2e9)]:
        ours.update(event)
        theirs.update(event)
    scores = [{item.item: item.score for item in state.recommend(100).items} for state in (ours, theirs)]
    assert "n2" in scores[1] and scores[0].keys() == scores[1].keys()
    if "--int8" not in options:
        assert scores[1] == pytest.approx(scores[0], abs=1e-5)


def test_the_export_says_how_texts_are_made(folder: Path) -> None:
    about = json.loads((folder / "settings.json").read_text())["about"]
    assert about["text"]["kinds"]["class"] == "token_seq" and about["shown"]["title"] == "title"
