"""Training that goes on: killed anywhere, it ends as the run that was never stopped; nothing already saved is lost."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from recbole.data import create_dataset, data_preparation
from recbole.trainer import Trainer
from recbole.trainer.trainer import DecisionTreeTrainer
from recbole.utils import get_model, get_trainer, init_seed

from recbole_longinterest.cli import main
from recbole_longinterest.common.file_lock import FileLockError, lock_files
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.plugin.fixes.load_model import load_data_and_model
from recbole_longinterest.plugin.runs import files
from recbole_longinterest.plugin.runs import state as run_state
from recbole_longinterest.plugin.runs.checkpoints import CheckpointError, load_checkpoint, save_checkpoint, write_plain
from recbole_longinterest.training import pipeline, settings
from recbole_longinterest.training.settings import make_config
from tests.conftest import PROJECT, SMALL, FakeEncoder, synthetic_inter, synthetic_item

EXACT = {"metric_decimal_place": 15, "show_progress": False, "state": "ERROR", "train_batch_size": 32, "epochs": 4}
COLUMNS = {"load_col": {"inter": ["user_id", "item_id", "timestamp"]}}
MODELS: dict[str, dict[str, Any]] = {
    "LongInterest": {**SMALL, "dropout_prob": 0.3, "epochs": 4, "train_batch_size": 32},
    "GRU4Rec": {**COLUMNS, "embedding_size": 8, "hidden_size": 8, "MAX_ITEM_LIST_LENGTH": 8, "weight_averaging": 0.9},
    "BPR": {"embedding_size": 8},  # negatives from numpy's generator
    "MultiVAE": {
        "mlp_hidden_size": [16],
        "latent_dimension": 4,
        "total_anneal_steps": 9,
        "train_batch_size": 8,
    },  # counts its batches
    "RecVAE": {"hidden_dimension": 16, "latent_dimension": 4, "train_batch_size": 8},  # two optimizers
}


@pytest.fixture
def setting(write_dataset: Callable[..., Path], fake_encoder: FakeEncoder) -> Callable[..., Any]:
    """Config of a small model of any kind."""
    root = write_dataset("tiny", synthetic_inter(), synthetic_item())

    def make(model: str = "BPR", **more: Any) -> Any:
        with command_line([]):
            return make_config(model, "tiny", config_dict={**EXACT, **MODELS[model], "data_path": str(root), **more})

    return make


class Killed(Exception):
    """Stands for SIGKILL where a process of its own would take ten seconds."""


def killed(config: Any, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until this batch, counted over all epochs."""
    seen = iter(range(1, 10_000))
    step = torch.optim.Adam.step

    def dying_step(self: Any, *args: Any, **kwargs: Any) -> Any:
        if next(seen) == batch:
            raise Killed
        return step(self, *args, **kwargs)

    dying_step.hooked = True  # type: ignore[attr-defined] - torch's own mark: what follows a step is called once
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(torch.optim.Adam, "step", dying_step)
        pipeline.run(config)


def test_a_run_that_goes_on_writes_the_same_bytes(
    setting: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # torch's own change of the class comes first
    contents = []
    for name, batch in (("whole", None), ("stopped", 9)):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        if batch is not None:
            killed(setting("LongInterest", resume=True), batch, monkeypatch)
        checkpoint = pipeline.run(setting("LongInterest", resume=True)).checkpoint
        assert checkpoint is not None
        contents.append(checkpoint.read_bytes())
    assert contents[0] == contents[1]


def assert_same(one: pipeline.Run, other: pipeline.Run) -> None:
    assert one.test_result == other.test_result and one.best_valid_result == other.best_valid_result
    for ending in ("", ".last"):
        states = [load_checkpoint(f"{run.checkpoint}{ending}") for run in (one, other)]
        for name, value in states[0]["state_dict"].items():
            assert torch.equal(value, states[1]["state_dict"][name]), name
        for key in ("epoch", "cur_step", "best_valid_score"):
            assert states[0][key] == states[1][key], key


# --- bit for bit -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_a_killed_run_ends_as_the_unbroken_one(
    setting: Callable[..., Any], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = pipeline.run(setting(model))
    batches = len(data_preparation(setting(model), create_dataset(setting(model)))[0])
    batches *= 4 if model == "RecVAE" else 1  # passes of the encoder and the decoder in an epoch
    for batch in (1, batches + batches // 2, batches + 1):  # in the first epoch, inside the second, at the third
        killed(setting(model, resume=True, checkpoint_dir="kill"), batch, monkeypatch)
        torch.rand(1)
        np.random.rand()
    resumed = pipeline.run(setting(model, resume=True, checkpoint_dir="kill"))
    assert_same(unbroken, resumed)
    assert {file.suffix for file in Path("kill").iterdir()} == {".pth", ".last"}  # no lock and no draft


def test_early_stopping_goes_on(setting: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"epochs": 30, "stopping_step": 2, "learning_rate": 0.05}
    unbroken = pipeline.run(setting(**more))
    last = load_checkpoint(f"{unbroken.checkpoint}.last")
    assert last["run"]["stopped"] and 3 <= last["epoch"] < 29
    batches = len(data_preparation(setting(), create_dataset(setting()))[0])
    killed(setting(resume=True, checkpoint_dir="kill", **more), batches * last["epoch"] + 1, monkeypatch)
    assert_same(unbroken, pipeline.run(setting(resume=True, checkpoint_dir="kill", **more)))


def test_a_finished_run_trains_no_more_and_a_longer_one_does(
    setting: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = pipeline.run(setting(epochs=2, resume=True))
    content = Path(short.checkpoint).read_bytes()
    again = pipeline.run(setting(epochs=2, resume=True))
    assert again == short and Path(short.checkpoint).read_bytes() == content
    longer = pipeline.run(setting(epochs=4, resume=True))
    assert longer.checkpoint == short.checkpoint
    assert_same(pipeline.run(setting(epochs=4)), longer)
    with pytest.raises(CheckpointError, match=r"\.last has 4 epochs already; epochs must be at least that, got 3\."):
        pipeline.run(setting(epochs=3, resume=True))


def test_killed_between_the_two_files(setting: Callable[..., Any]) -> None:
    config = setting(resume=True, epochs=1, learning_rate=0.05)
    first = pipeline.run(config)
    early = Path(f"{first.checkpoint}.last").read_bytes()
    two = pipeline.run(setting(resume=True, epochs=2, learning_rate=0.05))
    assert load_checkpoint(two.checkpoint)["epoch"] == 1
    Path(f"{first.checkpoint}.last").write_bytes(early)
    again = pipeline.run(setting(resume=True, epochs=2, learning_rate=0.05))
    assert again == two and load_checkpoint(again.checkpoint)["epoch"] == 1


KILL = """
import json, os, signal, sys
sys.path.insert(0, {project!r})
import torch
import recbole_longinterest
from recbole_longinterest.training import pipeline, settings
from recbole_longinterest.training.settings import make_config
from tests.plugin.runs.test_resume import MODELS, EXACT
from tests.conftest import FakeEncoder
from recbole_longinterest.data import item_texts
item_texts.TextEncoder = lambda *args, **kwargs: FakeEncoder()

def training(batch, **more):
    child = os.fork()
    if child == 0:
        os.chdir(sys.argv[1])
        count = 0
        step = torch.optim.Adam.step
        def dying_step(*args, **kwargs):
            nonlocal count
            count += 1
            if count == batch:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(*args, **kwargs)
        dying_step.hooked = True
        torch.optim.Adam.step = dying_step
        settings = {{**EXACT, **MODELS[model], "data_path": "data", **more}}
        result = pipeline.run(make_config(model, "tiny", config_dict=settings))
        print(model, json.dumps([result.test_result, result.best_valid_result]), flush=True)
        os._exit(0)
    return os.waitpid(child, 0)[1]

for model in ("LongInterest", "GRU4Rec"):
    assert training(0) == 0
    for batch in {batches}:
        assert training(batch, resume=True, checkpoint_dir="kill") == signal.SIGKILL
    assert training(0, resume=True, checkpoint_dir="kill") == 0
"""


@pytest.mark.slow
def test_sigkill_at_random_batches(write_dataset: Callable[..., Path], tmp_path: Path) -> None:
    write_dataset("tiny", synthetic_inter(), synthetic_item())
    batches = np.random.default_rng().integers(1, 11, size=3).tolist()
    code = KILL.format(project=str(PROJECT), batches=batches)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RECBOLE_LI_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["LongInterest"] * 2 + ["GRU4Rec"] * 2
    assert lines[0] == lines[1] and lines[2] == lines[3], batches


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_goes_on_from_a_file_with_its_settings(
    setting: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    unbroken = pipeline.run(setting("GRU4Rec", epochs=3))
    half = pipeline.run(setting("GRU4Rec", epochs=2))
    assert main.main(["run", f"--resume={half.checkpoint}", "--epochs=3"]) == 0
    assert f"checkpoint: {half.checkpoint}" in capsys.readouterr().out
    for ending in ("", ".last"):
        one, other = (load_checkpoint(f"{run.checkpoint}{ending}") for run in (unbroken, half))
        assert one["epoch"] == other["epoch"] and one["best_valid_score"] == other["best_valid_score"]
    assert (
        main.main(["run", "--resume", f"{half.checkpoint}.last", "--epochs=4", "--model=GRU4Rec", "--seed=2020"]) == 0
    )
    assert load_checkpoint(f"{half.checkpoint}.last")["epoch"] == 3


def test_a_stopped_run_says_how_it_goes_on(
    setting: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = setting("GRU4Rec", epochs=3)
    epoch, turns = Trainer._train_epoch, []

    def stopped(self: Trainer, *args: Any, **kwargs: Any) -> Any:
        turns.append(1)
        if len(turns) > 1:
            raise KeyboardInterrupt
        return epoch(self, *args, **kwargs)

    monkeypatch.setattr(Trainer, "_train_epoch", stopped)
    monkeypatch.setattr(settings, "make_config", lambda *_: config)
    assert main.main(["run"]) == 130
    said = capsys.readouterr().err
    assert said.startswith("recbole-li: stopped; recbole-li run --resume ") and "Traceback" not in said
    file = Path(said.split("--resume ")[1].split(" continues")[0])
    assert load_checkpoint(f"{file}.last")["epoch"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model=LightGCN"], "cannot resume with other settings: model is 'LightGCN' and was 'BPR'"),
        (["--dataset=ml-100k"], "dataset is 'ml-100k' and was 'tiny'"),
        (["--embedding_size=16", "--seed=1"], "embedding_size is 16 and was 8; seed is 1 and was 2020. Leave them out"),
        (["--epochs=1"], "has 2 epochs already; epochs must be at least that, got 1"),
        (["--nproc=2"], "nproc is 2 and was None"),
    ],
)
def test_other_settings_are_an_error(
    setting: Callable[..., Any], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = pipeline.run(setting(epochs=2))
    assert main.main(["run", f"--resume={run.checkpoint}", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_settings_of_the_file_are_not_run(setting: Callable[..., Any]) -> None:
    run = pipeline.run(setting(epochs=1))
    state = load_checkpoint(f"{run.checkpoint}.last")
    for table in (state["config"].final_config_dict, state["config"].external_config_dict):
        table["note"] = "__import__('os').system('touch ran')"
    save_checkpoint(state, "x.pth.last")
    assert make_config(config_dict={"resume": "x.pth"})["note"].startswith("__import__")
    assert not Path("ran").exists()


def test_recbole_own_call_goes_on_too(setting: Callable[..., Any]) -> None:
    from recbole.quick_start import run_recbole

    half = pipeline.run(setting("BPR", epochs=2))
    settings = {**EXACT, **MODELS["BPR"], "data_path": setting()["data_path"].rsplit("/", 1)[0]}
    result = run_recbole("BPR", "tiny", config_dict={**settings, "resume": f"{half.checkpoint}"})
    assert result["test_result"] == pipeline.run(setting("BPR")).test_result
    with pytest.raises(CheckpointError, match="cannot resume with other settings: embedding_size is 16 and was 8"):
        run_recbole("BPR", "tiny", config_dict={**settings, "embedding_size": 16, "resume": f"{half.checkpoint}"})


def test_names(setting: Callable[..., Any]) -> None:
    same = {files.own_name(setting(epochs=epochs, resume=True, checkpoint_dir=f"{epochs}")) for epochs in (1, 2)}
    assert len(same) == 1 and same.pop().startswith("BPR-tiny-")
    others = [setting(seed=1), setting(embedding_size=4), setting("GRU4Rec"), setting()]
    assert len({files.own_name(config) for config in others}) == 4


def test_runs_from_before_ties_had_an_order_go_on(setting: Callable[..., Any]) -> None:
    """What a setting that came later stood for before is no other setting, whether it is said or not."""
    said = {"tie_order": "file", "tie_seed": 0, "split_by_time": None, "split_targets": "successive"}
    half = pipeline.run(setting("LongInterest", epochs=2, resume=True))
    state = load_checkpoint(f"{half.checkpoint}.last")
    for table in (state["config"].final_config_dict, state["config"].external_config_dict):
        for name in said:
            table.pop(name, None)
    save_checkpoint(state, Path(f"{half.checkpoint}.last"))
    whole = pipeline.run(setting("LongInterest", resume=True, **said))
    assert whole.checkpoint == half.checkpoint and load_checkpoint(f"{whole.checkpoint}.last")["epoch"] == 3
    with command_line([]):
        again = make_config(config_dict={"resume": str(half.checkpoint), "tie_order": "file", "epochs": 5})
        assert again["tie_order"] == "file"
        with pytest.raises(CheckpointError, match="tie_order is 'random' and was"):
            make_config(config_dict={"resume": str(half.checkpoint), "tie_order": "random"})
    names = [files.own_name(setting("LongInterest", **more)) for more in (said, {}, {"tie_order": "random"})]
    assert names[0] == names[1] != names[2]


def test_a_run_with_random_ties_goes_on(setting: Callable[..., Any]) -> None:
    more = {"tie_order": "random", "tie_seed": 2, "resume": True}
    half = pipeline.run(setting("LongInterest", epochs=2, **more))
    whole = pipeline.run(setting("LongInterest", **more))
    assert whole.checkpoint == half.checkpoint
    assert load_checkpoint(whole.checkpoint)["config"]["tie_seed"] == 2
    with pytest.raises(CheckpointError, match="tie_seed is 3 and was 2"):
        pipeline.run(setting("LongInterest", **{**more, "tie_seed": 3, "resume": str(half.checkpoint)}))


# --- files -----------------------------------------------------------------------------------------------------------


def test_files_that_nothing_goes_on_from(setting: Callable[..., Any]) -> None:
    run = pipeline.run(setting(epochs=1))
    with pytest.raises(CheckpointError, match=r"There is no checkpoint file nowhere\.pth to resume from"):
        make_config(config_dict={"resume": "nowhere.pth"})
    last = Path(f"{run.checkpoint}.last")
    state = load_checkpoint(last)
    whole = dict(state)
    state.pop("run")
    save_checkpoint(state, last)
    with pytest.raises(CheckpointError, match=r"\.last has no state to resume from"):
        pipeline.run(setting(epochs=2, resume=str(last)))
    save_checkpoint({**whole, "run": {**whole["run"], "attributes": {".gone": 1}}}, last)
    with pytest.raises(CheckpointError, match=r"\.last was written by other code: BPR has no attribute gone"):
        pipeline.run(setting(epochs=2, resume=str(last)))
    last.unlink()
    with pytest.raises(CheckpointError, match=r"holds only the weights of the best epoch, and .*\.last"):
        make_config(config_dict={"resume": str(run.checkpoint)})


def test_a_missing_best_file_is_named(setting: Callable[..., Any]) -> None:
    run = pipeline.run(setting(epochs=1))
    Path(run.checkpoint).unlink()
    with pytest.raises(CheckpointError, match=r"There is no checkpoint file .*\.pth\."):
        pipeline.run(setting(epochs=2, resume=f"{run.checkpoint}.last"))


def test_changed_data_is_an_error(setting: Callable[..., Any], write_dataset: Callable[..., Path]) -> None:
    run = pipeline.run(setting(epochs=1))
    write_dataset("tiny", synthetic_inter() + "u0\ti0\t3\t2000000000\n")
    with pytest.raises(CheckpointError, match=r"was trained on \d+ rows and tiny now gives \d+: the data has changed"):
        pipeline.run(setting(epochs=2, resume=str(run.checkpoint)))


def test_two_runs_never_share_a_file(setting: Callable[..., Any]) -> None:
    trainers = []
    for _ in range(2):
        config = setting()
        train, _, _ = data_preparation(config, create_dataset(config))
        trainers.append(Trainer(config, get_model("BPR")(config, train._dataset)))
    assert trainers[0].saved_model_file != trainers[1].saved_model_file
    config = setting(resume=True)
    with (
        lock_files(Path("saved") / f"{files.own_name(config)}.pth"),
        pytest.raises(FileLockError, match=r"Another process is training saved/BPR-tiny-\w+\.pth at the moment"),
    ):
        pipeline.run(config)


@pytest.mark.parametrize("full", ["checkpoint", "last"])
def test_a_full_disk_loses_nothing(
    setting: Callable[..., Any], full: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = pipeline.run(setting(epochs=2))
    files = [Path(run.checkpoint), Path(f"{run.checkpoint}.last")]
    before = [file.read_bytes() for file in files]
    save = torch.save

    def save_on_a_full_disk(content: Any, file: Any, **kwargs: Any) -> None:
        def write(data: Any) -> int:
            raise OSError(28, "No space left on device")

        if ("run" in content) == (full == "last"):
            file = SimpleNamespace(write=write, flush=file.flush)
        save(content, file, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", save_on_a_full_disk)
        assert main.main(["run", f"--resume={run.checkpoint}", "--epochs=30"]) == 2
    error = capsys.readouterr().err
    assert "could not be written (No space left on device); files saved before are unchanged." in error
    assert files[full == "last"].read_bytes() == before[full == "last"]
    assert len(list(Path("saved").iterdir())) == 2
    assert main.main(["run", f"--resume={run.checkpoint}", "--epochs=4"]) == 0
    assert_same(pipeline.run(setting()), pipeline.Run(0, *run_results(run), checkpoint=run.checkpoint))


def run_results(run: pipeline.Run) -> tuple[Any, Any]:
    """Results of a checkpoint's own last state."""
    state = load_checkpoint(f"{run.checkpoint}.last")
    config, model, _, _, _, test = load_data_and_model(run.checkpoint)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    return state["run"]["best_valid_result"], trainer.evaluate(test, load_best_model=False)


def test_a_killed_save_leaves_the_file_and_its_draft_goes(
    setting: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = pipeline.run(setting(epochs=1, resume=True))
    last = Path(f"{run.checkpoint}.last")
    before = last.read_bytes()
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(os, "fsync", lambda file: os.kill(os.getpid(), 9))
        write_plain({"half": torch.ones(10)}, last)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 9
    assert last.read_bytes() == before and len(list(Path("saved").glob(".*.tmp"))) == 1
    pipeline.run(setting(epochs=2, resume=True))
    assert not list(Path("saved").glob(".*.tmp"))


# --- what trains otherwise -------------------------------------------------------------------------------------------


def test_pretraining_goes_on(setting: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    ract = {"mlp_hidden_size": [16], "latent_dimension": 4, "train_stage": "actor_pretrain", "save_step": 2}
    monkeypatch.setitem(MODELS, "RaCT", ract)
    unbroken = pretrained(setting("RaCT", pretrain_epochs=4))
    half = pretrained(setting("RaCT", pretrain_epochs=2, resume=True, checkpoint_dir="b"))
    assert half.start_epoch == 0
    again = pretrained(setting("RaCT", pretrain_epochs=4, resume=True, checkpoint_dir="b"))
    assert again.start_epoch == 2 and Path(again.saved_model_file).name == "RaCT-tiny-4.pth"
    for name, value in unbroken.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name])


def pretrained(config: Any) -> Any:
    init_seed(config["seed"], True)
    train, valid, _ = data_preparation(config, create_dataset(config))
    init_seed(config["seed"], True)
    model = get_model(config["model"])(config, train._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.fit(train, valid, verbose=False)
    return trainer


def test_a_decision_tree_says_that_it_cannot() -> None:
    tree = SimpleNamespace(config={"resume": True, "model": "LightGBM"})
    with pytest.raises(CheckpointError, match="LightGBM does not train by epochs, so it cannot resume"):
        DecisionTreeTrainer.fit(tree, None)


# --- the state -------------------------------------------------------------------------------------------------------


def test_random_states_come_back() -> None:
    import random

    before = run_state.random_state()
    first = [random.random(), np.random.rand(), torch.rand(1).item()]
    run_state.restore_random_state(before)
    assert first == [random.random(), np.random.rand(), torch.rand(1).item()]


def test_changed_attributes_are_found_and_put_back() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    model.count, model.matrix, model.cache = 1, torch.zeros(2), None
    before = run_state.model_attributes(model)
    assert run_state.changed_attributes(model, before) == {}
    model.count, model.cache = 2, torch.ones(1)
    model.matrix += 1
    changed = run_state.changed_attributes(model, before)
    assert changed.keys() == {".count", ".matrix", ".cache"}
    other = torch.nn.Sequential(torch.nn.Linear(2, 2))
    other.count, other.matrix, other.cache = 1, torch.zeros(2), None
    run_state.restore_attributes(other, changed)
    assert other.count == 2 and other.matrix.tolist() == [1, 1] and other.cache.tolist() == [1]
    with pytest.raises(AttributeError, match="Linear has no attribute gone"):
        run_state.restore_attributes(other, {"0.gone": 1})
