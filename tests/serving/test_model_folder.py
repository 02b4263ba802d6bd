"""The exported folder: what is written is read, whole or not at all."""

from pathlib import Path
from time import perf_counter

import pytest
import torch

from recbole_longinterest.serving import model_folder
from recbole_longinterest.serving.int8 import quantize_rows
from recbole_longinterest.serving.model_folder import ExportError, read_folder, write_folder
from recbole_longinterest.serving.recommender import Recommender
from tests.served import DEFAULTS, random_served


def test_a_folder_gives_back_what_was_written(tmp_path: Path) -> None:
    served = random_served()
    write_folder(served, tmp_path / "m")
    read = read_folder(tmp_path / "m")
    assert read.items == served.items and read.options == served.options and read.fingerprint == served.fingerprint
    assert read.weights.keys() == served.weights.keys()
    for name, value in served.weights.items():
        assert torch.equal(read.weights[name], value), name
    assert sorted(file.name for file in (tmp_path / "m").iterdir()) == [
        "README.md",
        "items.json",
        "manifest.json",
        "model.safetensors",
        "settings.json",
    ]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m"]


def test_int8_tables_take_a_quarter_and_are_off_by_half_a_step(tmp_path: Path) -> None:
    write_folder(random_served(), tmp_path / "full")
    served = random_served()
    served.precision = "int8"
    write_folder(served, tmp_path / "small")
    sizes = [(tmp_path / name / model_folder.WEIGHTS).stat().st_size for name in ("full", "small")]
    assert sizes[1] < 0.4 * sizes[0]
    assert read_folder(tmp_path / "small").fingerprint == served.fingerprint != random_served().fingerprint
    for name, value in read_folder(tmp_path / "small").weights.items():
        scale = quantize_rows(served.weights[name])[1] if value.dim() > 1 else 0
        assert ((value.float() - served.weights[name].float()).abs() <= scale * 0.501).all(), name


def test_rows_of_zeros_stay_zero() -> None:
    table, scale = quantize_rows(torch.tensor([[0.0, 0.0], [1.0, -127.0]]))
    assert table.tolist() == [[0, 0], [1, -127]] and scale.tolist() == [[1.0], [1.0]]


def test_another_export_is_replaced_and_anything_else_left_alone(tmp_path: Path) -> None:
    write_folder(random_served(), tmp_path / "m")
    write_folder(random_served(seed=1), tmp_path / "m")
    assert read_folder(tmp_path / "m").fingerprint == random_served(seed=1).fingerprint
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("")
    (tmp_path / "file").write_text("")
    for name in ("photos", "file"):
        with pytest.raises(ExportError, match="exists and is not an exported model"):
            write_folder(random_served(), tmp_path / name)
    assert (tmp_path / "photos" / "a.jpg").is_file()


def test_what_somebody_put_into_an_export_is_not_lost(tmp_path: Path) -> None:
    write_folder(random_served(), tmp_path / "m")
    (tmp_path / "m" / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match=r"has 'notes\.txt', which the export did not write\. Move that file away"):
        write_folder(random_served(seed=1), tmp_path / "m")
    assert (tmp_path / "m" / "notes.txt").read_text() == "mine"


def test_the_folder_one_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(random_served(), tmp_path / "m")
    monkeypatch.chdir(tmp_path / "m")
    write_folder(random_served(seed=1), Path())
    assert read_folder(tmp_path / "m").fingerprint == random_served(seed=1).fingerprint


def test_a_failed_write_leaves_the_old_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(random_served(), tmp_path / "m")

    def full(draft: Path) -> None:
        raise OSError("No space left on device")

    with pytest.raises(ExportError, match="could not be written: No space left on device"):
        write_folder(random_served(seed=1), tmp_path / "m", full)
    assert read_folder(tmp_path / "m").fingerprint == random_served().fingerprint
    assert [file.name for file in tmp_path.iterdir()] == ["m"]


def test_12_000_items_are_loaded_within_two_seconds(tmp_path: Path) -> None:
    served = random_served(DEFAULTS, 12_000)
    served.weights["item_sources.text.vectors"] = torch.randn(12_001, 64)
    served.weights["item_sources.text.present"] = torch.ones(12_001, dtype=torch.bool)
    served.weights["item_sources.text.mean"], served.weights["item_sources.text.whitening"] = (
        torch.zeros(384),
        torch.zeros(384, 64),
    )
    served.weights["item_sources.text.project.weight"] = torch.randn(64, 64)
    served.weights["item_sources.text.absent"] = torch.zeros(64)
    write_folder(served, tmp_path / "m")
    started = perf_counter()
    model = Recommender.load(tmp_path / "m")
    assert perf_counter() - started < 2
    assert model.n_items == 12_000 and model.items.shape == (12_001, 64)
