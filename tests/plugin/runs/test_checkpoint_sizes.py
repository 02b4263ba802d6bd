"""Settings in a checkpoint that ask for more than its weights hold are refused before anything is allocated."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from recbole.config import Config
from recbole.quick_start import run_recbole

from recbole_longinterest.cli.main import main
from recbole_longinterest.plugin.fixes.load_model import load_data_and_model
from recbole_longinterest.plugin.runs.allocation import FREE_BYTES, AllocationLimit
from recbole_longinterest.plugin.runs.checkpoints import CheckpointError, load_checkpoint, write_plain
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter


def with_settings(path: str | Path, **settings: Any) -> None:
    state = torch.load(path, weights_only=True)
    for name, value in settings.items():
        state["config"].final_config_dict[name] = value
    write_plain(state, "big.pth")


@pytest.mark.parametrize("name", ["hidden_size", "embedding_size"])
def test_a_longinterest_of_a_huge_size_is_refused(small_config: Callable[..., Any], name: str) -> None:
    done = pipeline.run(small_config())
    with_settings(done.checkpoint, **{name: 1_000_000})
    for load in (load_checkpoint, load_data_and_model):
        with pytest.raises(CheckpointError, match=r"in big\.pth do not fit its settings: size mismatch for .* ask for"):
            load("big.pth")
    assert load_checkpoint(done.checkpoint)["epoch"] >= 0


def test_another_model_of_a_huge_size_is_refused(write_dataset: Callable[..., Path]) -> None:
    settings = {"data_path": str(write_dataset("tiny", synthetic_inter())), "epochs": 1, "state": "ERROR"}
    settings |= {"embedding_size": 8, "hidden_size": 8, "train_neg_sample_args": None, "show_progress": False}
    settings |= {"load_col": {"inter": ["user_id", "item_id", "timestamp"]}, "checkpoint_dir": "GRU4Rec"}
    run_recbole("GRU4Rec", "tiny", config_dict=settings)
    (file,) = Path("GRU4Rec").glob("*.pth")
    assert isinstance(load_data_and_model(file)[0], Config)
    with_settings(file, hidden_size=1_000_000)
    with pytest.raises(CheckpointError, match=r"in big\.pth ask for a tensor of shape \[3000000, 1000000\], "):
        load_data_and_model("big.pth")


def test_a_run_of_a_huge_size_does_not_go_on(
    write_dataset: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(write_dataset("tiny", synthetic_inter()))
    settings = {"data_path": root, "epochs": 1, "embedding_size": 8, "hidden_size": 8, "train_neg_sample_args": None}
    settings |= {"load_col": {"inter": ["user_id", "item_id", "timestamp"]}, "show_progress": False, "state": "ERROR"}
    done = pipeline.run(make_config("GRU4Rec", "tiny", config_dict=settings))
    goes_on = ["run", f"--resume={done.checkpoint}.last", f"--data_path={root}", "--epochs=2"]
    with_settings(f"{done.checkpoint}.last", hidden_size=1_000_000)
    Path("big.pth").rename("big.pth.last")
    assert main(goes_on) == 0, capsys.readouterr().err
    assert main(["run", "--resume=big.pth.last", f"--data_path={root}", "--epochs=2"]) == 2
    assert "big.pth.last ask for a tensor of shape [3000000, 1000000], " in capsys.readouterr().err


def test_many_tensors_count_together(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(bytes(1000))
    quarter = FREE_BYTES // 16
    with AllocationLimit(tmp_path / "a.pth"), pytest.raises(CheckpointError, match="file's size justifies"):
        for _ in range(5):
            torch.empty(quarter)
    torch.empty(quarter)


@pytest.mark.parametrize(
    "options", [{"size": (3,), "dtype": int}, {"size": (1, 3)}, {"size": [3], "dtype": torch.bool}]
)
def test_what_is_within_the_limit_is_made(tmp_path: Path, options: dict[str, Any]) -> None:
    (tmp_path / "a.pth").write_bytes(b"")
    with AllocationLimit(tmp_path / "a.pth"):
        assert torch.zeros(**options).numel() == 3
        assert torch.zeros(3, dtype=options.get("dtype")).numel() == torch.ones([3]).numel() == 3
