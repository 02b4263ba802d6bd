"""`text_tuning: lora`: exact vectors after an epoch, equal results after a resume, new texts by the tuned encoder."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.data.utils import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.state_keys import TEXT, item_key, tuned_in
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint
from recbole_longinterest.plugin.runs.files import own_name
from recbole_longinterest.plugin.text_tuning import TextTuning
from recbole_longinterest.serving.new_items import with_items
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.text.encoder import TextEncoder
from recbole_longinterest.text.whitening import Whitening
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.export import export_checkpoint
from recbole_longinterest.training.settings import make_config
from recbole_longinterest.training.update.update import update_checkpoint
from tests.conftest import SMALL, synthetic_inter
from tests.text.conftest import WORDS, save_bert

pytest.importorskip("peft", reason="peft is not installed (extra adapt)")
TUNED = {"text_tuning": "lora", "text_tuning_items": 4, "text_tuning_rate": 0.01}
ITEMS = 20


def title(item: int) -> str:
    return f"{WORDS[item % 13]} {WORDS[(item * 7 + 3) % 11]}"


@pytest.fixture
def config(write_dataset: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Config of a small data set whose titles a BERT of two layers reads."""
    monkeypatch.setenv("RECBOLE_LI_CACHE", str(tmp_path / "cache"))
    rows = [f"i{item}\t{title(item)}" for item in range(ITEMS)]
    root = write_dataset("tiny", synthetic_inter(), "\n".join(["item_id:token\ttitle:token_seq", *rows]) + "\n")
    bert = save_bert(tmp_path / "bert", num_hidden_layers=2)

    def make(**settings: Any) -> Any:
        own = {"data_path": str(root), "text_encoder": str(bert), "text_fields": ["title"], "text_dim": 4}
        own |= {"use_gpu": False, "train_batch_size": 64, "metric_decimal_place": 15}
        return make_config("LongInterest", "tiny", config_dict={**SMALL, **own, **settings})

    return make


def text_part(state: dict[str, Any], part: str) -> torch.Tensor:
    return state["state_dict"][item_key(TEXT, part)]


def whitened(state: dict[str, Any], texts: list[str], bert: Path) -> np.ndarray:
    """Vectors of texts by the encoder that a checkpoint tuned."""
    mean, projection = (text_part(state, part).numpy() for part in ("mean", "whitening"))
    vectors = TextEncoder(str(bert), device="cpu", updates=tuned_in(state["state_dict"])).encode(texts)
    return Whitening(mean, projection).transform(vectors)


def test_none_is_a_run_as_before(config: Callable[..., Any]) -> None:
    run = pipeline.run(config(epochs=1))
    assert run.checkpoint is not None
    assert not tuned_in(load_checkpoint(run.checkpoint)["state_dict"])
    before = config()
    for name in TUNED | {"text_tuning_layers": 1}:
        del before.final_config_dict[name]  # a run of an earlier version
    assert own_name(before) == own_name(config()) != own_name(config(**TUNED))


def started(chosen: Any) -> tuple[Any, Any, TextTuning]:
    """A model before its first epoch, its loader, and its tuning."""
    init_seed(0, True)
    train = data_preparation(chosen, create_dataset(chosen))[0]
    model = get_model("LongInterest")(chosen, train._dataset)
    model.prepare()
    state = torch.get_rng_state()
    tuning = TextTuning(chosen, model, train._dataset.text_source)
    assert torch.equal(torch.get_rng_state(), state)  # of the run's random numbers none is used
    return model, train, tuning


@pytest.mark.parametrize("averaging", [0, 0.9])
def test_the_encoder_alone_lowers_the_loss(config: Callable[..., Any], averaging: float) -> None:
    still = {"dropout_prob": 0.0, "hidden_dropout_prob": 0.0, "weight_averaging": averaging}
    model, train, tuning = started(config(**TUNED, **still))
    torch.nn.init.normal_(model.item_sources[TEXT].project.weight, std=0.3)
    batch = next(iter(train))
    before = model.calculate_loss(batch).item()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    for _ in range(2):
        with tuning.epoch(optimizer):
            for _ in range(20):
                model.calculate_loss(batch).backward()
                optimizer.step()
    assert model.calculate_loss(batch).item() < before - 0.02


def test_a_step_trains_the_encoder_by_the_items_with_the_largest_gradients(config: Callable[..., Any]) -> None:
    model, train, tuning = started(config(**TUNED))
    source = model.item_sources[TEXT]
    before, updates = source.vectors.clone(), source.tuned_updates()
    optimizer = torch.optim.Adam(model.parameters())
    with tuning.epoch(optimizer):
        batch = next(iter(train))
        model.calculate_loss(batch).backward()
        gradient = source.vectors.grad.clone()
        assert (gradient[1:].abs().sum(dim=1) > 0).sum() > 10  # the softmax reaches items that are not in the batch
        optimizer.step()
        largest = gradient.norm(dim=1).topk(4).indices
        assert (source.vectors.grad[largest] == 0).all()
        others = torch.ones(len(gradient), dtype=torch.bool)
        others[largest] = False
        assert torch.equal(source.vectors.grad[others], gradient[others])  # which wait for their turn
        assert torch.equal(source.vectors[others], before[others])
    assert not source.vectors.requires_grad
    assert not torch.allclose(source.vectors[1:], before[1:], atol=1e-4)
    assert any(not torch.equal(value, source.tuned_updates()[name]) for name, value in updates.items())


def test_a_run_keeps_exact_vectors_and_goes_on_as_if_never_stopped(config: Callable[..., Any], tmp_path: Path) -> None:
    plain = load_checkpoint(str(pipeline.run(config(epochs=1)).checkpoint))
    ends = []
    for name, epochs in (("one", [4]), ("two", [2, 4])):
        for number in epochs:
            run = pipeline.run(config(epochs=number, resume=True, checkpoint_dir=str(tmp_path / name), **TUNED))
        ends.append(load_checkpoint(f"{run.checkpoint}.last"))
    one, two = ends
    assert one["state_dict"].keys() == two["state_dict"].keys()
    for key, value in one["state_dict"].items():
        assert torch.equal(value, two["state_dict"][key]), key
    assert "text_optimizer" in one["run"]["optimizers"]

    exact = whitened(one, [title(item) for item in range(ITEMS)], tmp_path / "bert")
    tokens = create_dataset(config()).field2id_token["item_id"]
    rows = [int(token[1:]) for token in tokens[1:]]
    np.testing.assert_allclose(text_part(one, "vectors")[1:], exact[rows], atol=1e-4)
    assert not np.allclose(text_part(one, "vectors"), text_part(plain, "vectors"), atol=0.05)
    for part in ("mean", "whitening"):  # stay those of the encoder before the tuning
        assert torch.equal(text_part(one, part), text_part(plain, part))


@pytest.mark.parametrize("int8", [False, True])
def test_new_texts_of_an_export_are_encoded_as_tuned(config: Callable[..., Any], tmp_path: Path, int8: bool) -> None:
    run = pipeline.run(config(epochs=2, **TUNED))
    assert run.checkpoint is not None
    state = load_checkpoint(run.checkpoint)
    served = Recommender.load(export_checkpoint(run.checkpoint, tmp_path / "out", int8=int8).folder or tmp_path / "out")
    items = pd.DataFrame({"item_id": ["i3", "new"], "title": [title(3), "golden toy drama"]})
    added = with_items(served.served, items)
    assert added.new == ["new"] and not added.changed  # the known text has its vector again
    found = added.served.weights[item_key(TEXT, "vectors")][-1]
    np.testing.assert_allclose(found, whitened(state, ["golden toy drama"], tmp_path / "bert")[0], atol=1e-4)
    again = with_items(added.served, pd.DataFrame({"item_id": ["last"], "title": ["golden toy drama"]})).served
    assert torch.allclose(again.weights[item_key(TEXT, "vectors")][-1], found, atol=1e-4)
    assert len(served.recommend(["i1", "i2"], k=3).items) == 3


def test_an_update_keeps_the_tuned_encoder_for_new_texts(config: Callable[..., Any], tmp_path: Path) -> None:
    run = pipeline.run(config(epochs=2, **TUNED))
    assert run.checkpoint is not None
    parent = load_checkpoint(run.checkpoint)
    events = "\n".join(f"u{user}\tnew\t5\t{2 * 10**9 + user}" for user in range(10))
    (tmp_path / "new.inter").write_text(f"user_id:token\titem_id:token\trating:float\ttimestamp:float\n{events}\n")
    (tmp_path / "new.item").write_text("item_id:token\ttitle:token_seq\nnew\tgolden toy drama\n")
    files = tmp_path / "new.inter", tmp_path / "new.item"
    done = update_checkpoint(run.checkpoint, *files, tmp_path / "child.pth", scope="all")
    child = load_checkpoint(done.checkpoint)
    assert child["config"]["text_tuning"] == "none"
    now, then = tuned_in(child["state_dict"]), tuned_in(parent["state_dict"])
    assert then and now.keys() == then.keys() and all(torch.equal(now[name], then[name]) for name in then)
    new = whitened(parent, ["golden toy drama"], tmp_path / "bert")
    apart = np.abs(text_part(child, "vectors").numpy() - new).max(axis=1)
    assert apart.min() < 1e-4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text_tuning": "full"}, r"text_tuning must be one of none, lora; got 'full'"),
        ({"text_features": "off"}, r"needs texts and their encoder, but no texts are read"),
        ({"text_tuning_layers": 0}, r"text_tuning_layers must be a whole number above 0; got 0"),
        ({"text_tuning_items": 2.5}, r"text_tuning_items must be a whole number above 0; got 2\.5"),
        ({"text_tuning_rate": -1}, r"text_tuning_rate must be a number above 0; got -1"),
        ({"text_tuning_rate": float("nan")}, r"text_tuning_rate must be a number above 0; got nan"),
        ({"enable_amp": True}, r"cannot train with enable_amp"),
        ({"text_chunks": 2}, r"text_chunks must be 1, got 2"),
        ({"text_backend": "onnx"}, r"lora trains with torch; text_backend must be torch, got onnx"),
        ({"single_spec": False}, r"trains in one process\. Leave out --nproc"),
    ],
)
def test_what_cannot_be_tuned(settings: dict[str, Any], message: str, config: Callable[..., Any]) -> None:
    chosen = config(**TUNED)
    train = data_preparation(chosen, create_dataset(chosen))[0]
    model = get_model("LongInterest")(chosen, train._dataset)
    trainer = get_trainer(chosen["MODEL_TYPE"], "LongInterest")(chosen, model)
    chosen.final_config_dict.update(settings)
    if settings.get("text_features") == "off":
        train._dataset.text_source = None
    with pytest.raises(LongInterestError, match=message):
        trainer.fit(train)


def test_ready_vectors_have_no_encoder_to_tune(config: Callable[..., Any], tmp_path: Path) -> None:
    np.save(tmp_path / "ready.npy", np.random.default_rng(0).normal(size=(ITEMS, 8)).astype("f4"))
    (tmp_path / "ready.txt").write_text("".join(f"i{item}\n" for item in range(ITEMS)))
    with pytest.raises(LongInterestError, match=r"needs texts and their encoder, but text_vectors is .*ready\.npy"):
        pipeline.run(config(text_vectors=str(tmp_path / "ready.npy"), **TUNED))


def test_the_extra_is_named(config: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(LongInterestError, match=r"lora needs the package peft, .*recbole-longinterest\[adapt\]"):
        pipeline.run(config(**TUNED))
