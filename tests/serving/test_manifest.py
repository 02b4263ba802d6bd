"""An exported folder is what was written, or is not read; the fingerprint is computed, never read."""

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.finite import NotFiniteError
from recbole_longinterest.serving.manifest import MANIFEST, ExportError, read_manifest
from recbole_longinterest.serving.model_folder import ITEMS, SETTINGS, WEIGHTS, read_folder, write_folder
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.state import InterestState
from tests.served import random_events, random_served, signed_again


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(replace(random_served(), parent={"checkpoint": "a.pth", "sha256": "0" * 64}), tmp_path / "m")
    return tmp_path / "m"


def weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    stored = load_file(folder / WEIGHTS)
    change(stored)
    save_file({name: value.clone() for name, value in stored.items()}, folder / WEIGHTS)


def content(folder: Path, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    found = json.loads((folder / name).read_text())
    change(found)
    (folder / name).write_text(json.dumps(found))


CHANGES: dict[str, Callable[[Path], Any]] = {
    "noise in the weights": lambda folder: weights(
        folder, lambda stored: stored["id_embedding.weight"].add_(torch.rand(301, 16) / 10)
    ),
    "a row times 1,000": lambda folder: weights(folder, lambda stored: stored["id_embedding.weight"][7].mul_(1000)),
    "items reversed": lambda folder: content(
        folder, ITEMS, lambda items: items.update(tokens=[items["tokens"][0], *items["tokens"][:0:-1]])
    ),
    "another title": lambda folder: content(folder, ITEMS, lambda items: items["titles"].__setitem__(3, "Other")),
    "other settings": lambda folder: content(folder, SETTINGS, lambda settings: settings["about"].update(dataset="x")),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_changed_file_is_noticed(folder: Path, kind: str) -> None:
    model = Recommender.load(folder)
    kept = model.start()
    kept.update("i1")
    before = model.fingerprint
    CHANGES[kind](folder)
    with pytest.raises(ExportError, match=r"was (changed after it was written|cut short or changed)"):
        Recommender.load(folder)
    signed_again(folder)  # by somebody who can write the manifest, too
    changed = Recommender.load(folder)
    assert (changed.fingerprint == before) == (kind in ("another title", "other settings"))  # which no state knows of
    if changed.fingerprint != before:
        with pytest.raises(LongInterestError, match="belongs to the model"):
            InterestState.from_bytes(changed, kept.to_bytes())


def test_files_of_another_export_are_noticed(folder: Path, tmp_path: Path) -> None:
    write_folder(random_served(seed=1), tmp_path / "other")
    for name in (WEIGHTS, ITEMS, SETTINGS, MANIFEST):
        mixed = tmp_path / "mixed"
        shutil.rmtree(mixed, ignore_errors=True)
        shutil.copytree(folder, mixed)
        same = (folder / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
        shutil.copy(tmp_path / "other" / name, mixed / name)
        if same:  # both models have these items and settings
            read_folder(mixed)
            continue
        with pytest.raises(ExportError, match=r"was changed after it was written|was cut short or changed"):
            read_folder(mixed)


def test_the_manifest_says_what_and_of_what(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest is not None and manifest.parent == {"checkpoint": "a.pth", "sha256": "0" * 64}
    assert manifest.files.keys() == {WEIGHTS, ITEMS, SETTINGS} and not manifest.signed
    assert manifest.versions.keys() == {"recbole-longinterest", "torch"}
    assert "fingerprint" not in (folder / SETTINGS).read_text() + (folder / MANIFEST).read_text()
    assert read_folder(folder).parent == manifest.parent


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda path: path.write_text(path.read_text().replace("a.pth", "b.pth")), "its checksum does not match its"),
        (lambda path: path.write_text(path.read_text() + " "), "its checksum does not match its content"),
        (lambda path: path.write_text("[]"), "broken or was changed"),
        (lambda path: path.write_text("[" * 10**6), "nests lists and objects more than 100 deep"),
        (lambda path: path.unlink(), r"has lost its manifest\.json"),
    ],
)
def test_a_broken_manifest_is_one_sentence(folder: Path, change: Callable[[Path], Any], match: str) -> None:
    change(folder / MANIFEST)
    with pytest.raises(ExportError, match=match):
        read_folder(folder)


def test_a_manifest_names_files_of_its_folder_only(folder: Path, tmp_path: Path) -> None:
    from recbole_longinterest.serving.manifest import _rendered

    (tmp_path / "outside").write_text("x")
    for name in ("../outside", "/etc/passwd", "..", "a\\b", MANIFEST):
        found = json.loads((folder / MANIFEST).read_text())
        del found["checksum"]
        found["files"][name] = {"bytes": 1, "sha256": "x"}
        (folder / MANIFEST).write_bytes(_rendered(found))
        with pytest.raises(ExportError, match="is not the name of a file in the folder"):
            read_folder(folder)
        signed_again(folder)


def test_a_served_model_does_not_follow_its_file(folder: Path) -> None:
    model, events = Recommender.load(folder), random_events(9)
    before = model.recommend(events)
    raw = (folder / WEIGHTS).read_bytes()
    with (folder / WEIGHTS).open("r+b") as file:  # in place, under the same name
        file.write(bytes(len(raw)))
    assert model.recommend(events) == before
    with (folder / WEIGHTS).open("r+b") as file:
        file.truncate(10)
    assert model.recommend(events) == before
    for name in (ITEMS, SETTINGS, MANIFEST):
        (folder / name).write_text("")
    assert model.recommend(events) == before and model.start().to_bytes()


def test_weights_are_mapped_only_when_asked_for(folder: Path) -> None:
    def maps() -> bool:
        return str(folder / WEIGHTS) in Path("/proc/self/maps").read_text()

    if not Path("/proc/self/maps").is_file():
        pytest.skip("not Linux")
    kept = Recommender.load(folder)
    assert not maps()
    mapped = Recommender.load(folder, mapped=True)
    assert maps()
    assert mapped.fingerprint == kept.fingerprint
    found, same = mapped.recommend(["i1"]).items, kept.recommend(["i1"]).items  # up to the order of sums
    assert [item.item for item in found] == [item.item for item in same]
    weights(folder, lambda stored: stored["id_embedding.weight"][7].mul_(1000))
    with pytest.raises(ExportError, match="was changed"):
        Recommender.load(folder, mapped=True)


def test_weights_that_are_not_finite_are_not_written_nor_read(folder: Path, tmp_path: Path) -> None:
    broken = random_served()
    broken.weights["id_embedding.weight"][3, 2] = float("nan")
    with pytest.raises(NotFiniteError, match=r"id_embedding\.weight \(1 of 4,816 values\)"):
        write_folder(broken, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    weights(folder, lambda stored: stored["id_embedding.weight"][3].fill_(-torch.inf))
    signed_again(folder)
    with pytest.raises(NotFiniteError, match=r"The model folder .* holds weights that are NaN or infinite"):
        read_folder(folder)


def test_a_damaged_export_is_replaced(folder: Path) -> None:
    (folder / MANIFEST).write_text("{")
    (folder / WEIGHTS).write_bytes(b"")
    write_folder(random_served(seed=1), folder)
    assert read_folder(folder).fingerprint == random_served(seed=1).fingerprint


# --- settings that ask for more than the files hold ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hidden_size", "embedding_size"])
def test_a_huge_size_is_compared_before_anything_is_made(folder: Path, name: str) -> None:
    content(folder, SETTINGS, lambda settings: settings["options"].update({name: 1_000_000}))
    signed_again(folder)
    with pytest.raises(ExportError, match=r"do not fit its settings: size mismatch for .* and the settings ask for"):
        Recommender.load(folder)


def test_nested_json_is_one_sentence(folder: Path) -> None:
    whole = {name: (folder / name).read_text() for name in (SETTINGS, ITEMS)}
    for name, text in whole.items():
        for depth in (200, 900, 200_000):
            nested = "[" * depth + "]" * depth
            (folder / name).write_text(text[:-1] + f', "more": {nested}}}')
            signed_again(folder)
            with pytest.raises(ExportError, match=f"{name} is broken or .*nests lists and objects more than 100 deep"):
                Recommender.load(folder)
            (folder / name).write_text(text)


def test_a_header_of_weights_that_lies_is_one_sentence(folder: Path) -> None:
    raw = (folder / WEIGHTS).read_bytes()
    for header in (
        b"{}",
        b"[" * 1000,
        b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}',
    ):
        (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(header)) + header + raw[:16])
        signed_again(folder)
        with pytest.raises(ExportError, match="is broken"):
            read_folder(folder)
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", 2**60) + raw[8:])
    signed_again(folder)
    with pytest.raises(ExportError, match="is broken"):
        read_folder(folder)
