"""Saved data sets and loaders: reused when they fit, rebuilt when they do not, never unpickled."""

import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import recbole.data
import recbole.data.utils
import torch
from recbole.config import Config
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.utils import KGDataLoaderState
from recbole.utils.argument_list import dataset_arguments

from recbole_longinterest.data.lookup import dataset_class
from recbole_longinterest.plugin.runs import dataset_cache
from recbole_longinterest.plugin.runs.checkpoints import CheckpointError
from tests.conftest import synthetic_inter, synthetic_item


class Evil:
    """Unpickled, it makes the file `ran`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran",)


@pytest.fixture
def config(write_dataset: Callable[..., Path]) -> Callable[..., Config]:
    def make(model: str = "GRU4Rec", **settings: Any) -> Config:
        root = write_dataset("tiny", synthetic_inter(), synthetic_item())
        small = {"data_path": str(root), "state": "ERROR", "train_batch_size": 64, "show_progress": False}
        if model == "GRU4Rec":
            small |= {"train_neg_sample_args": None, "load_col": {"inter": COLUMNS["inter"]}}
        return Config(model, "tiny", config_dict={**small, **settings})

    return make


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names the data sets that are made from the raw files."""
    made: list[str] = []
    original = Dataset._from_scratch

    def _from_scratch(self: Dataset) -> None:
        made.append(type(self).__name__)
        original(self)

    monkeypatch.setattr(Dataset, "_from_scratch", _from_scratch)
    return made


def assert_same(first: Any, second: Any) -> None:
    """Equal attributes, whatever they hold."""
    assert type(first) is type(second)
    if isinstance(first, pd.DataFrame):
        pd.testing.assert_frame_equal(first, second)
    elif isinstance(first, np.ndarray) and first.dtype == object:
        assert_same(list(first), list(second))
    elif isinstance(first, (np.ndarray, torch.Tensor)):
        np.testing.assert_array_equal(first, second)
    elif isinstance(first, dict):
        assert list(first) == list(second)
        for key in first:
            assert_same(first[key], second[key])
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    else:
        assert first == second


COLUMNS = {"inter": ["user_id", "item_id", "rating", "timestamp"], "item": ["item_id", "title", "class"]}


@pytest.mark.parametrize(("model", "kind"), [("GRU4Rec", SequentialDataset), ("BPR", Dataset)])
def test_a_saved_data_set_is_reused(
    config: Callable[..., Config], scratch: list[str], model: str, kind: type[Dataset]
) -> None:
    settings = {"save_dataset": True, "load_col": COLUMNS}
    first = recbole.data.create_dataset(config(model, **settings))
    second = recbole.data.create_dataset(config(model, **settings))
    assert scratch == [kind.__name__] and Path(f"saved/tiny-{kind.__name__}.pth").is_file()
    assert type(second) is kind
    pd.testing.assert_frame_equal(first.inter_feat, second.inter_feat)
    for name, value in vars(first).items():
        if name not in ("config", "logger"):
            assert_same(value, vars(second)[name])
    for one, other in zip(first.build(), second.build(), strict=True):
        assert {name: value.tolist() for name, value in one.inter_feat.interaction.items()} == {
            name: value.tolist() for name, value in other.inter_feat.interaction.items()
        } or model == "BPR"  # split at random


def test_a_data_set_of_other_files_is_made_anew(config: Callable[..., Config], scratch: list[str]) -> None:
    made = config(save_dataset=True)
    recbole.data.create_dataset(made)
    file = Path(made["data_path"], "tiny.inter")
    content = file.read_text().splitlines()
    file.write_text("\n".join(content[:-1]) + "\n")
    assert len(recbole.data.create_dataset(made).inter_feat) == len(content) - 2 and len(scratch) == 2
    file.with_suffix(".item").unlink()
    recbole.data.create_dataset(made)
    assert len(scratch) == 3


def test_the_bundled_ml_100k_is_reused(scratch: list[str]) -> None:
    def make(model: str) -> Config:
        settings = {"save_dataset": True, "state": "ERROR", "user_inter_num_interval": "[300,inf)"}
        return Config(model, "ml-100k", config_dict={**settings, "train_neg_sample_args": None})

    for model in ("GRU4Rec", "SASRec"):  # one data set serves both
        dataset = recbole.data.create_dataset(make(model))
    assert scratch == ["SequentialDataset"]
    fresh = SequentialDataset(make("GRU4Rec"))
    pd.testing.assert_frame_equal(dataset.inter_feat, fresh.inter_feat)


@pytest.mark.parametrize("key", ["MAX_ITEM_LIST_LENGTH", "seed", "encoding", "kg_reverse_r"])
def test_other_settings_make_the_data_set_again(config: Callable[..., Config], scratch: list[str], key: str) -> None:
    value = "latin-1" if key == "encoding" else 7
    recbole.data.create_dataset(config(save_dataset=True))
    recbole.data.create_dataset(config(save_dataset=True, **{key: value}))
    assert len(scratch) == 2


def test_a_folder_of_the_same_name_is_another_data_set(config: Callable[..., Config], tmp_path: Path) -> None:
    first = recbole.data.create_dataset(config(save_dataset=True))
    folder = tmp_path / "other" / "tiny"
    folder.mkdir(parents=True)
    (folder / "tiny.inter").write_text(synthetic_inter(users=10))
    second = recbole.data.create_dataset(config(data_path=str(folder.parent)))
    assert (first.user_num, second.user_num) == (31, 11)


def test_keys_of_a_plugin_count(
    config: Callable[..., Config], scratch: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_cache, "dataset_arguments", [*dataset_arguments, "my_key"])
    for value in ("a", "a", "b"):
        recbole.data.create_dataset(config(save_dataset=True, my_key=value, strict_keys=False))
    assert len(scratch) == 2


def test_a_reused_data_set_follows_the_split_of_today(config: Callable[..., Config]) -> None:
    recbole.data.create_dataset(config("BPR", save_dataset=True))
    halves = {"split": {"RS": [0.5, 0.25, 0.25]}, "order": "RO", "group_by": None, "mode": "full"}
    dataset = recbole.data.create_dataset(config("BPR", eval_args=halves))
    parts = [len(part) for part in dataset.build()]
    assert abs(parts[0] - sum(parts) / 2) <= 2


def test_dataset_save_path(config: Callable[..., Config], scratch: list[str]) -> None:
    recbole.data.create_dataset(config(save_dataset=True))
    Path("saved/tiny-SequentialDataset.pth").rename("elsewhere.pth")
    recbole.data.create_dataset(config(dataset_save_path="elsewhere.pth"))
    assert len(scratch) == 1
    recbole.data.create_dataset(config("BPR", dataset_save_path="elsewhere.pth"))  # another class of data set
    assert len(scratch) == 2


BAD_FILES: dict[str, Callable[[Path], object]] = {
    "pickle": lambda file: file.write_bytes(pickle.dumps(Evil())),
    "torch file": lambda file: torch.save({"format": dataset_cache.FORMAT, "x": Evil()}, file),
    "another format": lambda file: torch.save({"inter_feat": {}}, file),
    "text": lambda file: file.write_text("no data"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
@pytest.mark.parametrize("key", ["dataset_save_path", "dataloaders_save_path"])
def test_a_bad_file_that_was_asked_for_is_an_error(config: Callable[..., Config], kind: str, key: str) -> None:
    BAD_FILES[kind](Path("bad.pth"))
    asked = config(**{key: "bad.pth"})
    match = rf"bad\.pth is not a .* saved by this plugin \(.*\); delete it or unset {key}\."
    with pytest.raises(CheckpointError, match=match):
        recbole.data.data_preparation(asked, recbole.data.create_dataset(asked))
    assert not Path("ran").exists()


def test_an_old_pickle_at_the_usual_path_is_passed_over(
    config: Callable[..., Config], caplog: pytest.LogCaptureFixture
) -> None:
    Path("saved").mkdir()
    names = ("saved/tiny-SequentialDataset.pth", "saved/tiny-for-GRU4Rec-dataloader.pth")
    for name in names:
        Path(name).write_bytes(pickle.dumps(Evil()))
    with caplog.at_level(logging.WARNING):
        loaders = recbole.data.data_preparation(config(), recbole.data.create_dataset(config()))
    assert len(loaders) == 3 and not Path("ran").exists()
    for name in names:
        assert f"{name} is not a " in caplog.text and "it is not used" in caplog.text


def test_a_file_cannot_put_a_method_or_class_in_place(config: Callable[..., Config]) -> None:
    dataset = recbole.data.create_dataset(config(save_dataset=True))
    file = "saved/tiny-SequentialDataset.pth"
    content = torch.load(file, weights_only=True)
    content["parts"][0]["build"] = {"value": "x"}
    torch.save(content, file)
    with pytest.raises(CheckpointError, match="build is not an attribute of SequentialDataset"):
        recbole.data.create_dataset(config(dataset_save_path=file))
    dataset.hook = print
    with pytest.raises(ValueError, match=r"SequentialDataset\.hook is of type builtins"):
        dataset.save()


class Notes:
    """Made again from plain data."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def to_cache(self) -> list[str]:
        return self.lines


def test_an_attribute_can_be_made_again(config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        SequentialDataset, "restore_cached", lambda self, name, plain: Notes([name, *plain]), raising=False
    )
    dataset = SequentialDataset(config())
    dataset.notes = Notes(["a"])
    dataset.save()
    assert recbole.data.create_dataset(config()).notes.lines == ["notes", "a"]


def batches(loader: Any) -> list[Any]:
    """Everything a loader gives, as lists."""
    given = []
    for batch in loader:
        interaction = batch[0] if isinstance(batch, tuple) else batch
        given.append({name: value.tolist() for name, value in interaction.interaction.items()})
    return given


@pytest.mark.parametrize("model", ["GRU4Rec", "BPR", "CFKG"])
def test_saved_loaders_give_the_same_batches(
    config: Callable[..., Config], write_dataset: Callable[..., Path], model: str
) -> None:
    settings: dict[str, Any] = {"save_dataloaders": True}
    make = config
    if model == "CFKG":
        folder = write_dataset("tiny", synthetic_inter(), synthetic_item()) / "tiny"
        triples = "".join(f"e{i}\tr{i % 2}\te{(i + 1) % 20}\n" for i in range(20))
        (folder / "tiny.kg").write_text("head_id:token\trelation_id:token\ttail_id:token\n" + triples)
        links = "".join(f"i{i}\te{i}\n" for i in range(20))
        (folder / "tiny.link").write_text("item_id:token\tentity_id:token\n" + links)
    first = recbole.data.data_preparation(make(model, **settings), recbole.data.create_dataset(make(model)))
    again = make(model, **settings)
    second = dataset_cache.load_split_dataloaders(again)
    assert second is not None and Path(f"saved/tiny-for-{model}-dataloader.pth").is_file()
    for one, other in zip(first, second, strict=True):
        assert type(one) is type(other) and other._dataset.config is again
        for loader in (one, other):
            if hasattr(loader, "set_mode"):
                loader.set_mode(KGDataLoaderState.RSKG)
        np.random.seed(0)
        expected = batches(one)
        np.random.seed(0)
        assert batches(other) == expected
    assert dataset_cache.load_split_dataloaders(make(model, seed=7)) is None
    Path(f"saved/tiny-for-{model}-dataloader.pth").rename("elsewhere.pth")
    assert dataset_cache.load_split_dataloaders(make(model)) is None
    assert dataset_cache.load_split_dataloaders(make(model, dataloaders_save_path="elsewhere.pth")) is not None


def test_the_flat_log_serves_sequential_models_in_exact_order(config: Callable[..., Config]) -> None:
    from recbole_longinterest.data.flat_dataset import FlatSequentialDataset

    assert dataset_class(config(exact_order=True)) is FlatSequentialDataset
    assert dataset_class(config(exact_order=False)) is FlatSequentialDataset
    assert dataset_class(config()) is SequentialDataset
    assert dataset_class(config("BPR", exact_order=True, strict_keys=False)) is Dataset


def test_a_long_interest_data_set_is_reused(small_config: Callable[..., Any], scratch: list[str]) -> None:
    settings = {"save_dataset": True, "save_dataloaders": True}
    first = recbole.data.create_dataset(small_config(**settings))
    loaders = recbole.data.data_preparation(small_config(**settings), first)
    second = recbole.data.create_dataset(small_config(**settings))
    again = recbole.data.data_preparation(small_config(**settings), second)
    assert scratch == ["LongInterestDataset"]
    assert second.features == first.features and second.text_source.texts == first.text_source.texts
    for one, other in zip(loaders, again, strict=True):
        assert type(one) is type(other) and batches(one) == batches(other)
    assert again[0]._dataset.event_log is again[2]._dataset.event_log  # stored and held once
