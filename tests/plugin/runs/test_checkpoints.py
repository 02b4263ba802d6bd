"""Checkpoints: everything comes back, nothing in a file runs, every bad file gets one clear sentence."""

import copy
import os
import pickle
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import scipy.sparse
import torch
from recbole.config import Config
from recbole.quick_start import run_recbole
from recbole.trainer import Trainer
from recbole.utils import InputType, ModelType, get_model

from recbole_longinterest.plugin.fixes.load_model import load_data_and_model
from recbole_longinterest.plugin.runs import dataset_cache
from recbole_longinterest.plugin.runs.checkpoints import (
    CheckpointError,
    load_checkpoint,
    load_weights,
    plain_config,
    rebuild_config,
    save_checkpoint,
)
from recbole_longinterest.plugin.runs.plain_values import PlainError
from tests.conftest import synthetic_inter

EVIL = "__import__('os').system('touch ran')"


class Evil:
    """Unpickled, it makes the file `ran`."""

    def __init__(self, function: Callable[..., Any] = os.system, *args: Any) -> None:
        self.call = function, args or ("touch ran",)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.fixture(autouse=True)
def nothing_ran(_own_folder: None) -> Any:
    yield
    assert not Path("ran").exists()


@pytest.fixture
def config(write_dataset: Callable[..., Path]) -> Callable[..., Config]:
    def make(model: str = "BPR", **settings: Any) -> Config:
        root = write_dataset("tiny", synthetic_inter())
        small = {"data_path": str(root), "epochs": 1, "embedding_size": 8, "state": "ERROR", "show_progress": False}
        return Config(model, "tiny", config_dict={**small, **settings})

    return make


def state_of(config: Config, **more: Any) -> dict[str, Any]:
    return {"config": config, "state_dict": {"weight": torch.ones(2)}, **more}


def fitted(config: Config) -> tuple[Any, Any]:
    """Trainer of a fitted model, and its test data."""
    train, valid, test = dataset_cache.recbole.data.utils.data_preparation(config, dataset_cache.create_dataset(config))
    trainer = Trainer(config, get_model(config["model"])(config, train._dataset))
    trainer.fit(train, valid, verbose=False)
    return trainer, test


# --- the config ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [lambda c: pickle.loads(pickle.dumps(c)), copy.deepcopy, copy.copy])
def test_a_config_comes_back(config: Callable[..., Config], way: Callable[[Config], Config]) -> None:
    settings = {"train_neg_sample_args": None, "pair": (1, "a"), "nested": {"a": [1.5, None, {"b": True}]}}
    settings["strict_keys"] = False
    before = config("GRU4Rec", **settings)
    after = way(before)
    assert after.final_config_dict == before.final_config_dict
    assert after.external_config_dict == before.external_config_dict
    assert after.internal_config_dict == before.internal_config_dict
    assert str(after) == str(before)
    assert after.model_class is before.model_class and after["device"] == before["device"]
    assert (after["MODEL_TYPE"], after["MODEL_INPUT_TYPE"]) == (ModelType.SEQUENTIAL, InputType.POINTWISE)
    after["epochs"] = 99
    assert way is copy.copy or before["epochs"] == 1


def test_a_config_goes_through_cloudpickle(config: Callable[..., Config]) -> None:
    before = config()
    assert pickle.loads(cloudpickle.dumps(before)).final_config_dict == before.final_config_dict


def test_text_in_a_config_stays_text(config: Callable[..., Config]) -> None:
    fields = plain_config(config())
    fields["final_config_dict"]["note"] = fields["external_config_dict"]["note"] = EVIL
    fields["dataset"] = fields["model"] = EVIL
    again = rebuild_config(fields)
    assert again["note"] == again.dataset == EVIL
    with pytest.raises(ValueError, match="There is no model"):
        _ = again.model_class


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda fields: fields["final_config_dict"].update(x=os.system), r"config\.final_config_dict\.x is of type"),
        (lambda fields: fields.update(model=3), "wrong or missing model"),
        (lambda fields: fields.pop("external_config_dict"), "wrong or missing external_config_dict"),
        (lambda fields: fields.update(__class__="x"), "wrong or missing __class__"),
        (lambda fields: fields.update(compatibility_settings="x"), "wrong or missing compatibility_settings"),
        (lambda fields: fields.update(x={"#enum": ["ModelType", "NONE"]}), "ModelType.NONE is not one of"),
        (lambda fields: fields.update(x={"#device": "cpu; ls"}), "is not a device"),
        (lambda fields: fields.update(x={"#call": "os.system"}), "#call is not among"),
    ],
)
def test_a_poisoned_config_is_refused(config: Callable[..., Config], change: Callable[..., Any], match: str) -> None:
    fields = plain_config(config())
    change(fields)
    with pytest.raises(CheckpointError, match=match):
        rebuild_config(fields)
    with pytest.raises(CheckpointError, match="wrong or missing model"):
        rebuild_config([])  # type: ignore[arg-type]


def test_a_config_with_something_else_in_it_says_where(config: Callable[..., Config]) -> None:
    odd = config()
    odd["hook"] = len  # print is another in a process that ray was in
    with pytest.raises(PlainError, match=r"config\.final_config_dict\.hook is of type builtins\.builtin_function"):
        pickle.dumps(odd)
    odd["hook"] = torch.ones(1)
    with pytest.raises(PlainError, match=r"holds tensors or arrays .*hook is of type torch\.Tensor"):
        pickle.dumps(odd)
    assert copy.deepcopy(odd)["hook"] == 1  # within a process anything goes


def test_a_gpu_of_another_machine_becomes_the_cpu(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = config()
    elsewhere["device"] = torch.device("cuda:1")
    save_checkpoint(state_of(elsewhere), "a.pth")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert load_checkpoint("a.pth")["config"]["device"] == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert load_checkpoint("a.pth")["config"]["device"] == torch.device("cuda")


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_checkpoint_comes_back(config: Callable[..., Config]) -> None:
    other = {"matrix": scipy.sparse.eye(3, format="csr"), "popularity": np.arange(3), "score": np.float64(1.5)}
    save_checkpoint(state_of(config(), best_valid_score=np.float64(-np.inf), other_parameter=other), "new/a.pth")
    again = load_checkpoint("new/a.pth")
    assert again["best_valid_score"] == -np.inf and again["other_parameter"]["score"] == 1.5
    assert again["other_parameter"]["popularity"].tolist() == [0, 1, 2]
    assert again["other_parameter"]["matrix"].diagonal().tolist() == [1, 1, 1]
    assert torch.equal(again["state_dict"]["weight"], torch.ones(2))
    assert torch.load("new/a.pth", weights_only=True)["config"]["model"] == "BPR"


def test_a_failed_write_leaves_the_file_as_it_was(config: Callable[..., Config]) -> None:
    save_checkpoint(state_of(config()), "a.pth")
    before = Path("a.pth").read_bytes()
    with pytest.raises(PlainError, match=r"^other_parameter\.x is of type"):
        save_checkpoint(state_of(config(), other_parameter={"x": print}), "a.pth")
    odd = config()
    odd["hook"] = len  # print is another in a process that ray was in  # found while torch writes
    with pytest.raises(PlainError, match="hook"):
        save_checkpoint(state_of(odd), "a.pth")
    assert Path("a.pth").read_bytes() == before
    assert [file.name for file in Path().glob("*.pth")] == ["a.pth"] and not list(Path().glob(".*tmp"))


def cut_short(config: Config) -> None:
    save_checkpoint(state_of(config), "bad.pth")
    content = Path("bad.pth").read_bytes()
    Path("bad.pth").write_bytes(content[: len(content) // 2])


def poisoned(config: Config) -> None:
    fields = plain_config(config)
    fields["final_config_dict"]["hook"] = torch.ones(1)
    torch.save(state_of(Evil(rebuild_config, fields)), "bad.pth", pickle_protocol=2)  # type: ignore[arg-type]


BAD_FILES: dict[str, tuple[Callable[[Config], object], str]] = {
    "missing": (lambda config: None, r"There is no checkpoint file bad\.pth\."),
    "text": (
        lambda config: Path("bad.pth").write_text("no checkpoint"),
        r"bad\.pth is not a checkpoint, or it was cut",
    ),
    "empty": (lambda config: Path("bad.pth").write_bytes(b""), r"bad\.pth is not a checkpoint, or it was cut"),
    "cut short": (cut_short, r"bad\.pth is not a checkpoint, or it was cut"),
    "pickle": (
        lambda config: Path("bad.pth").write_bytes(pickle.dumps(Evil(), protocol=2)),
        r"Refused to load bad\.pth: it names (posix|nt)\.system, which is not allowed in a .*; it was not run\.",
    ),
    "pickle of today": (
        lambda config: Path("bad.pth").write_bytes(pickle.dumps(Evil())),
        r"it names (posix|nt)\.system, which is not allowed in a",
    ),
    "in the state": (
        lambda config: torch.save(state_of(config, other=Evil()), "bad.pth"),
        r"it names (posix|nt)\.system, which is not allowed in a",
    ),
    "in the state, protocol 4": (
        lambda config: torch.save(state_of(config, other=Evil()), "bad.pth", pickle_protocol=4),
        "it names .*, which is not allowed in a",
    ),
    "eval": (
        lambda config: torch.save(state_of(config, other=Evil(eval, EVIL)), "bad.pth"),
        r"it names (__builtin__\.|builtins\.)?eval, which is not allowed in a",
    ),
    "a call of Config": (
        lambda config: torch.save(
            state_of(Evil(Config, "BPR", "tiny", None, {"x": EVIL})),  # type: ignore[arg-type]
            "bad.pth",
        ),
        r"it names recbole\.config\.configurator\.Config",
    ),
    "a call of rebuild_config": (poisoned, r"Refused to load bad\.pth: config\.final_config_dict\.hook is of type"),
    "other code": (
        lambda config: torch.save({"state_dict": {}}, "bad.pth"),
        r"bad\.pth is not a checkpoint of RecBole: it has no config\. Load it with the code that wrote it",
    ),
    "another config": (
        lambda config: torch.save({"state_dict": {}, "config": {"model": "BPR"}}, "bad.pth"),
        "it has no RecBole config",
    ),
    "a tensor": (lambda config: torch.save(torch.ones(1), "bad.pth"), "it has no config and no state_dict"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files(config: Callable[..., Config], kind: str) -> None:
    make, match = BAD_FILES[kind]
    make(config())
    for load in (load_checkpoint, load_data_and_model):
        with pytest.raises(CheckpointError, match=match) as caught:
            load("bad.pth")
        assert "weights_only" not in str(caught.value)


def test_a_refusal_never_recommends_the_unsafe_way() -> None:
    with zipfile.ZipFile("script.pth", "w") as archive:  # what torch takes for TorchScript
        archive.writestr("script/constants.pkl", b"")
        archive.writestr("script/data.pkl", b"")
    with pytest.raises(CheckpointError, match=r"script\.pth is not a checkpoint") as caught:
        load_checkpoint("script.pth")
    assert "weights_only=False" not in "".join(traceback.format_exception(caught.value))


def test_a_checkpoint_whose_settings_are_code(config: Callable[..., Config]) -> None:
    for model, key, match in (
        ("KD_DAGFM", "teacher", r"teacher must be one of DAGFM, CrossNet"),
        ("BPR", "model", r"There is no model .__import__"),
    ):
        columns = {"inter": ["user_id", "item_id", "rating", "timestamp"]}
        settings = config(model, threshold={"rating": 3}, load_col=columns)  # labels, which KD_DAGFM reads
        settings[key] = EVIL
        save_checkpoint(state_of(settings), "a.pth")
        with pytest.raises(ValueError, match=match):
            load_data_and_model("a.pth")
    assert [folder.name for folder in Path("log").iterdir()] == ["KD_DAGFM"]  # and no folder of an unknown name


def test_a_checkpoint_beside_a_pickled_array(config: Callable[..., Config], tmp_path: Path) -> None:
    save_checkpoint(state_of(config("LDiffRec", n_cate=2, train_neg_sample_args=None)), "a.pth")
    np.save(tmp_path / "data" / "tiny" / "item_emb.npy", np.array([Evil()]))
    with pytest.raises(ValueError, match=r"item_emb\.npy is not an array of numbers saved with numpy\.save"):
        load_data_and_model("a.pth")


def test_the_trainer_refuses_a_bad_file(config: Callable[..., Config]) -> None:
    trainer, test = fitted(config())
    torch.save(state_of(config(), other=Evil()), "bad.pth")
    with pytest.raises(CheckpointError, match="which is not allowed in a"):
        trainer.evaluate(test, model_file="bad.pth")
    with pytest.raises(CheckpointError, match="which is not allowed in a"):
        trainer.resume_checkpoint("bad.pth")


def test_a_checkpoint_does_not_choose_what_is_unpickled(config: Callable[..., Config]) -> None:
    Path("data.pth").write_bytes(pickle.dumps(Evil()))
    for key in ("dataset_save_path", "dataloaders_save_path"):
        named = config()
        named[key] = "data.pth"
        save_checkpoint(state_of(named), "a.pth")
        with pytest.raises(CheckpointError, match="do not fit this BPR"):  # the data were made, the weights are none
            load_data_and_model("a.pth")


# --- RecBole's ways to a checkpoint ----------------------------------------------------------------------------------


def test_training_resumes_where_it_stopped(config: Callable[..., Config]) -> None:
    trainer, test = fitted(config(epochs=2))
    again = Trainer(config(epochs=4), copy.deepcopy(trainer.model))
    again.resume_checkpoint(trainer.saved_model_file)
    assert again.start_epoch >= 1 and again.best_valid_score == trainer.best_valid_score
    assert again.optimizer.state_dict()["state"].keys() == trainer.optimizer.state_dict()["state"].keys()
    assert again.evaluate(test, load_best_model=False) == trainer.evaluate(test)


def test_weights_of_another_catalogue_do_not_fit(config: Callable[..., Config]) -> None:
    trainer, _ = fitted(config())
    smaller = config(user_inter_num_interval="[8,inf)")
    state = load_checkpoint(trainer.saved_model_file)
    save_checkpoint({**state, "config": smaller}, "a.pth")
    with pytest.raises(CheckpointError, match=r"The data in .* are not those that a\.pth was trained on"):
        load_data_and_model("a.pth")
    save_checkpoint({**state, "config": smaller, "tokens": None}, "a.pth")  # as by code that did not say
    with pytest.raises(CheckpointError, match=r"The weights in a\.pth do not fit this BPR: .*user_embedding"):
        load_data_and_model("a.pth")


def test_layers_that_torch_does_not_see_come_back(write_dataset: Callable[..., Path]) -> None:
    item = "item_id:token\tclass:token\n" + "".join(f"i{i}\tc{i % 3}\n" for i in range(20))
    settings = {"data_path": str(write_dataset("tiny", synthetic_inter(), item)), "epochs": 1, "state": "ERROR"}
    settings |= {"load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "class"]}}
    settings |= {
        "selected_features": ["class"],
        "train_neg_sample_args": None,
        "hidden_size": 8,
        "inner_size": 8,
        "strict_keys": False,
    }
    trainer, test = fitted(Config("SASRecF", "tiny", config_dict={**settings, "n_layers": 1, "show_progress": False}))
    _, model, *_ = load_data_and_model(trainer.saved_model_file)
    tables = [each.feature_embed_layer.token_embedding_table["item"] for each in (trainer.model, model)]
    assert torch.equal(tables[0].embedding.weight, tables[1].embedding.weight)
    assert Trainer(trainer.config, model).evaluate(test, load_best_model=False) == trainer.evaluate(test)
    state = load_checkpoint(trainer.saved_model_file)
    state["other_parameter"]["feature_embed_layer"] = {"layer": {}}
    with pytest.raises(CheckpointError, match=r"The layer feature_embed_layer in b\.pth does not fit"):
        load_weights(model, state, "b.pth")


RELOAD = """
import glob, recbole_longinterest
from recbole.quick_start import load_data_and_model
from recbole.utils import get_trainer
for model in ("GRU4Rec", "SASRec"):
    [file] = glob.glob(model + "/*.pth")
    config, network, _, _, _, test = load_data_and_model(file)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, network)
    print(model, dict(trainer.evaluate(test, load_best_model=False)))
"""


@pytest.mark.slow
def test_a_fresh_process_gives_the_same_result(write_dataset: Callable[..., Path], python: Callable[..., Any]) -> None:
    settings = {"data_path": str(write_dataset("tiny", synthetic_inter())), "epochs": 1, "state": "ERROR"}
    settings |= {"embedding_size": 8, "hidden_size": 8, "inner_size": 8, "n_layers": 1, "train_neg_sample_args": None}
    settings["strict_keys"] = False
    settings |= {"load_col": {"inter": ["user_id", "item_id", "timestamp"]}, "show_progress": False}
    trained = []
    for model in ("GRU4Rec", "SASRec"):
        result = run_recbole(model, "tiny", config_dict={**settings, "checkpoint_dir": model})
        trained.append(f"{model} {dict(result['test_result'])}")
    assert python(RELOAD).stdout.splitlines() == trained
