"""No text of a file or the command line is run: every way in is tried with a text that would make a file if it were."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from recbole.config import Config
from recbole.quick_start import load_data_and_model, objective_function, run_recbole

from recbole_longinterest.cli import main
from recbole_longinterest.experiments.comparison.plan import read_settings
from recbole_longinterest.experiments.tuning.space import read_space
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint, save_checkpoint
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.export import export_checkpoint
from recbole_longinterest.training.settings import make_config
from recbole_longinterest.training.update.update import update_checkpoint
from tests.conftest import SMALL, FakeEncoder, synthetic_inter, synthetic_item

BPR = {"model": "BPR", "dataset": "tiny", "epochs": 1, "embedding_size": 8, "state": "ERROR", "show_progress": False}


@dataclass(frozen=True)
class Attack:
    """What a way in is given.

    Attributes:
        code: makes the file ``ran`` if it is run; RecBole takes any text for a ``learner``.
        yaml: a settings file of a small BPR with the code in it.
        words: the same for a command line, without the code.
        data: folder above the data set's.
    """

    code: str
    yaml: str
    words: tuple[str, ...]
    data: str


@pytest.fixture
def attack(write_dataset: Callable[..., Path], fake_encoder: FakeEncoder, tmp_path: Path) -> Attack:
    data = str(write_dataset("tiny", synthetic_inter(), synthetic_item()))
    code = f"__import__('pathlib').Path({str(tmp_path / 'ran')!r}).touch() or 'sgd'"
    lines = [f"{name}: {value}" for name, value in {**BPR, "data_path": data}.items()]
    Path("attack.yaml").write_text("\n".join([*lines, f'learner: "{code}"']) + "\n")
    words = tuple(f"--{name}={value}" for name, value in BPR.items() if name not in ("model", "dataset"))
    return Attack(code, "attack.yaml", (*words, f"--data_path={data}"), data)


def given(attack: Attack) -> dict[str, Any]:
    return {**BPR, "data_path": attack.data, "learner": attack.code}


def config_from_python(attack: Attack) -> None:
    assert Config(config_dict=given(attack))["learner"] == attack.code


def config_from_yaml(attack: Attack) -> None:
    assert Config(config_file_list=[attack.yaml])["learner"] == attack.code


def config_from_argv(attack: Attack) -> None:
    before, sys.argv = sys.argv, ["script.py", *attack.words, f"--learner={attack.code}"]
    try:
        assert Config("BPR", "tiny")["learner"] == attack.code
    finally:
        sys.argv = before


def make_config_from_both(attack: Attack) -> None:
    assert make_config(config_files=[attack.yaml])["learner"] == attack.code
    assert make_config(config_dict=given(attack))["learner"] == attack.code


def recboles_own_run(attack: Attack) -> None:
    run_recbole("BPR", "tiny", config_file_list=[attack.yaml])
    run_recbole("BPR", "tiny", config_dict=given(attack))


def command_run(attack: Attack) -> None:
    assert main.main(["run", "--config_files", attack.yaml]) == 0
    words = ["run", "-m", "BPR", "-d", "tiny", *attack.words]
    assert main.main([*words, f"--learner={attack.code}"]) == 0
    assert main.main([*words, f"--epochs={attack.code}"]) == 2


def command_script(attack: Attack) -> None:
    assert main.run_script(["--config_files", attack.yaml]) == 0


def objective(attack: Attack) -> None:
    objective_function(given(attack))
    objective_function({"learning_rate": 0.1}, [attack.yaml])


def space_of_tune(attack: Attack) -> None:
    from recbole_longinterest.experiments.tuning.trial import Task

    Path("space.yaml").write_text(f'learner: {{choice: ["{attack.code}", "[sgd]"]}}\n')
    (parameter,) = read_space(Path("space.yaml")).parameters
    for value in parameter.values:
        config = Task("BPR", "tiny", given(attack), Path(), {}).config({"learner": value}, Path("trial"))
        assert config["learner"] == value
    Path("hyper.test").write_text(f"learner choice [{attack.code}]\n")
    with pytest.raises(ValueError, match=r"hyper\.test"):
        read_space(Path("hyper.test"))


def settings_of_tune_and_compare(attack: Attack) -> None:
    from recbole_longinterest.experiments.tuning.tune import _fixed

    assert _fixed("BPR", "tiny", [attack.yaml], ())[2]["learner"] == attack.code
    assert _fixed("BPR", "tiny", [], (*attack.words, f"--learner={attack.code}"))[2]["learner"] == attack.code
    assert read_settings([], [f"--learner={attack.code}"])["learner"] == attack.code
    assert read_settings([], {"learner": attack.code})["learner"] == attack.code
    Path("few.yaml").write_text(f'learner: "{attack.code}"\n')
    assert read_settings(["few.yaml"], ())["learner"] == attack.code


def command_compare(attack: Attack) -> None:
    words = ["compare", "-m", "Pop", "-d", "tiny", "--seeds", "1", "--output", "out", "--quiet", "--epochs=1"]
    with contextlib.suppress(SystemExit):
        main.main([*words, "--data_path", attack.data, f"--learner={attack.code}"])


def checkpoint(attack: Attack) -> None:
    """Every text of a file's config is the code; whoever reads the file fails or goes on, and runs nothing."""
    config = make_config("LongInterest", "tiny", config_dict={**SMALL, "data_path": attack.data})
    file = pipeline.run(config).checkpoint
    assert file is not None
    Path("new.inter").write_text("user_id:token\titem_id:token\trating:float\ttimestamp:float\nu1\ti1\t3\t2000000000\n")
    readers: list[Callable[[str], Any]] = [
        lambda path: make_config(config_dict={"resume": path}),
        lambda path: pipeline.run(make_config(config_dict={"resume": path, "epochs": 2})),
        load_data_and_model,
        lambda path: export_checkpoint(path, "model"),
        lambda path: update_checkpoint(path, "new.inter"),
    ]
    for kept in (("model", "dataset", "data_path", "device"), ()):
        for name in (str(file), f"{file}.last"):
            state = load_checkpoint(name)
            for table in (state["config"].final_config_dict, state["config"].external_config_dict):
                table.update(
                    {key: attack.code for key, value in table.items() if isinstance(value, str) and key not in kept}
                )
            save_checkpoint(state, name)
        for read in readers:
            with contextlib.suppress(Exception):
                read(str(file))


ENTRIES = [
    *(config_from_python, config_from_yaml, config_from_argv, make_config_from_both, recboles_own_run, command_run),
    *(command_script, objective, space_of_tune, settings_of_tune_and_compare, checkpoint),
    pytest.param(command_compare, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__)
def test_no_entry_runs_a_text(entry: Callable[[Attack], None], attack: Attack, tmp_path: Path) -> None:
    assert eval(attack.code) == "sgd" and (tmp_path / "ran").exists()  # it would
    (tmp_path / "ran").unlink()
    entry(attack)
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("one_ray")
def test_no_worker_of_a_search_runs_a_text(attack: Attack, tmp_path: Path) -> None:
    from recbole_longinterest.experiments.tuning.tune import tune

    Path("space.yaml").write_text(f'learner: {{choice: ["{attack.code}", "adam"]}}\n')
    settings = {name: value for name, value in given(attack).items() if name not in ("model", "dataset", "learner")}
    outcome = tune("BPR", "tiny", output="out", space="space.yaml", settings=settings, trials=2, show_progress=False)
    assert {trial.setting["learner"] for trial in outcome.trials} == {attack.code, "adam"}
    assert not (tmp_path / "ran").exists()


SCRIPT = """
import argparse
from recbole.quick_start import objective_function
from recbole.trainer import HyperTuning

parser = argparse.ArgumentParser()
parser.add_argument("--params_file")
parser.add_argument("--config_files")
args, _ = parser.parse_known_args()
for line in open(args.params_file):
    name, _, *values = line.strip().split(" ")
    try:
        print(name, eval("".join(values)))
    except ValueError as error:
        print(error)
objective_function({"epochs": 1}, [args.config_files])
try:
    HyperTuning(objective_function, params_file=args.params_file)
except ValueError as error:
    print(error)
"""


@pytest.mark.slow
def test_no_script_of_recbole_runs_a_text(attack: Attack, tmp_path: Path) -> None:
    Path("run_hyper.py").write_text(SCRIPT)
    Path("hyper.test").write_text(f"topk choice [[5],[10]]\nlearner choice [{attack.code}]\n")
    command = [sys.executable, "-m", "recbole_longinterest", "run_hyper.py", "--params_file=hyper.test"]
    done = subprocess.run(
        [*command, f"--config_files={attack.yaml}", f"--learner={attack.code}"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "topk [[5], [10]]" in done.stdout and done.stdout.count("A choice must be a list") == 2
    assert not (tmp_path / "ran").exists()
