"""Two hundred single bits are flipped in each kind of file that carries a checksum: every one is noticed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint, read_plain
from recbole_longinterest.serving.engines import engine_of
from recbole_longinterest.serving.manifest import MANIFEST
from recbole_longinterest.serving.model_card import CARD
from recbole_longinterest.serving.model_folder import ITEMS, SETTINGS, WEIGHTS
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.state import InterestState
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.export import export_checkpoint
from tests.bit_flips import FLIPS, unnoticed
from tests.served import random_events, random_model


def test_training_files(small_config: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    from recbole.data import create_dataset, data_preparation

    done = pipeline.run(small_config())
    best = Path(done.checkpoint)
    last = best.with_name(f"{best.name}.last")
    config = small_config(save_dataset=True, save_dataloaders=True)
    data_preparation(config, create_dataset(config))
    caches = sorted(set(best.parent.glob("*.pth")) - {best})
    assert len(caches) == 2
    for file in (best, last):
        _report(file.name, unnoticed(file, lambda file=file: load_checkpoint(file)), capsys)  # type: ignore[misc]
    for file in caches:
        _report(file.name, unnoticed(file, lambda file=file: read_plain(file, "cache")), capsys)  # type: ignore[misc]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_exports(
    small_config: Callable[..., Any], tmp_path: Path, precision: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    folder, engines = tmp_path / "m", ["onnx"]
    export_checkpoint(pipeline.run(small_config()).checkpoint, folder, int8=precision == "int8", engines=engines)
    names = [SETTINGS, ITEMS, WEIGHTS, MANIFEST, *engine_of("onnx").files]
    assert sorted([*names, CARD]) == sorted(file.name for file in folder.iterdir())
    for name in names:
        _report(f"{precision} {name}", unnoticed(folder / name, lambda: Recommender.load(folder)), capsys)


def test_states_of_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = random_model()
    state = model.start()
    for event in random_events(9):
        state.update(event)
    file = tmp_path / "state"
    file.write_bytes(state.to_bytes())
    _report("state", unnoticed(file, lambda: InterestState.from_bytes(model, file.read_bytes())), capsys)


def _report(kind: str, found: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{kind}: {FLIPS} bits tried, {FLIPS - len(found)} noticed")  # noqa: T201 - the figures of the report
    assert found == []
