"""Logs: TensorBoard and W&B go on after a resume; a quiet run; a log file."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recbole_longinterest.cli import main
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter

SMALL = {"embedding_size": 8, "train_batch_size": 32, "show_progress": False}


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    """Each test starts as a process does, without handlers, so that RecBole sets up its own."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def data_path(write_dataset: Callable[..., Path]) -> str:
    return str(write_dataset("tiny", synthetic_inter()))


@pytest.fixture
def train(data_path: str) -> Callable[..., pipeline.Run]:
    def run(**settings: Any) -> pipeline.Run:
        logging.getLogger().handlers.clear()
        with command_line([]):
            config = make_config(
                "BPR", "tiny", config_dict={**SMALL, "data_path": data_path, "state": "ERROR", **settings}
            )
        return pipeline.run(config)

    return run


def test_tensorboard_goes_on_in_its_folder(train: Callable[..., pipeline.Run]) -> None:
    train(epochs=2, resume=True)
    [folder] = Path("log_tensorboard").iterdir()
    train(epochs=5, resume=True)
    assert list(Path("log_tensorboard").iterdir()) == [folder]
    events = EventAccumulator(str(folder)).Reload()
    for tag in ("Loss/Train", "Vaild_score"):
        assert [event.step for event in events.Scalars(tag)] == [0, 1, 2, 3, 4]


class FakeWandb(SimpleNamespace):
    """What RecBole calls of wandb."""

    def __init__(self) -> None:
        super().__init__(run=None, started=[], logged=[], steps=[])

    def init(self, **settings: Any) -> None:
        self.started.append(settings)
        self.run = SimpleNamespace(id=settings.get("id", "run7"), summary={})

    def log(self, metrics: dict[str, Any], commit: bool) -> None:
        self.logged.append(metrics)

    def define_metric(self, name: str, step_metric: str) -> None:
        self.steps.append((name, step_metric))


def test_wandb_goes_on_in_its_run(train: Callable[..., pipeline.Run], monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    settings = {"log_wandb": True, "wandb_project": "project", "resume": True, "eval_step": 2}
    train(epochs=2, **settings)
    assert wandb.started[0]["project"] == "project" and wandb.started[0]["config"]["embedding_size"] == 8
    assert "id" not in wandb.started[0] and "eval/recall@10" in wandb.run.summary
    wandb.run = None  # another process
    train(epochs=6, **settings)
    assert (wandb.started[1]["id"], wandb.started[1]["resume"]) == ("run7", "allow")
    assert [row["train_step"] for row in wandb.logged if "train_step" in row] == list(range(6))
    assert [row["valid_step"] for row in wandb.logged if "valid_step" in row] == [0, 1, 2]
    assert ("valid/*", "valid_step") in wandb.steps


def test_wandb_itself_offline(train: Callable[..., pipeline.Run], monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for epochs in (1, 2):
        train(epochs=epochs, log_wandb=True, wandb_project="project", resume=True)
        wandb.finish()
    runs = [folder.name.rpartition("-")[2] for folder in Path("wandb").glob("offline-run-*")]
    assert len(runs) == 2 and len(set(runs)) == 1


def test_wandb_that_is_not_installed(
    data_path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    settings = [f"--{name}={value}" for name, value in SMALL.items()]
    arguments = ["run", "--model=BPR", "--dataset=tiny", f"--data_path={data_path}", *settings, "--log_wandb=True"]
    assert main.main([*arguments, "--state=ERROR"]) == 2
    assert capsys.readouterr().err == (
        "recbole-li: error: log_wandb: True needs the package wandb, which is not installed: "
        "pip install 'recbole-longinterest[wandb]' (recbole-li doctor checks the installation)\n"
    )


@pytest.mark.parametrize("quiet", [True, False])
def test_a_quiet_run_and_its_log_file(data_path: str, quiet: bool, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "--model=BPR", "--dataset=tiny", f"--data_path={data_path}", "--epochs=1", "--embedding_size=8"]
    logging.getLogger().handlers.clear()
    assert main.main([*arguments, "--log_file=logs/batch.log", *["--quiet"] * quiet]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("BPR on tiny\nmetric") or not quiet
    assert ("epoch 0 training" not in err and "Train" not in err and err.strip() == "") is quiet
    log = Path("logs/batch.log").read_text()
    assert "epoch 0 training" in log and "test result" in log and "\x1b" not in log


def test_a_log_file_that_cannot_be(data_path: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "--model=BPR", "--dataset=tiny", f"--data_path={data_path}", "--state=ERROR"]
    Path("file").touch()
    assert main.main([*arguments, "--log_file=file/batch.log"]) == 2
    assert "log_file must be a writable file;" in capsys.readouterr().err


def test_a_log_holds_no_codes_that_a_terminal_obeys(train: Callable[..., pipeline.Run]) -> None:
    train(epochs=1, state="INFO")
    logging.getLogger().info("of %s", "\x1b]0;title\x07\x1b[1;35ma\x1b[0m\u202e")
    (file,) = Path("log").rglob("*.log")
    text = file.read_text()
    assert "of \\x1b]0;title\\x07" in text and "\\u202e" in text
    assert "\x1b]" not in text and "\x07" not in text and "\u202e" not in text
    assert "learning_rate = " in text and text.count("\n") > 50  # RecBole's own lines are as they were
