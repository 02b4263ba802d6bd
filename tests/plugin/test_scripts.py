"""Scripts that make the calls of RecBole's run_recbole.py and run_hyper.py, with the same flags, under the plugin."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recbole_longinterest.plugin import scripts
from tests.conftest import synthetic_inter

RUN = """
import argparse

from recbole.quick_start import run

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for flag, kind, default in (("model", str, "BPR"), ("dataset", str, "ml-100k"), ("config_files", str, None),
                                ("nproc", int, 1), ("ip", str, "localhost"), ("port", str, "5678"),
                                ("world_size", int, -1), ("group_offset", int, 0)):
        parser.add_argument(f"--{flag}", type=kind, default=default)
    args, _ = parser.parse_known_args()
    files = args.config_files.strip().split(" ") if args.config_files else None
    for nproc in (1, args.nproc):
        result = run(args.model, args.dataset, config_file_list=files, nproc=nproc, world_size=args.world_size,
                     ip=args.ip, port=args.port, group_offset=args.group_offset)
        print("RESULT", sorted(result["test_result"]))
"""

HYPER = """
import argparse
import os

from recbole.quick_start import objective_function
from recbole.trainer import HyperTuning


def ray_tune(args):
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    files = [os.path.join(os.getcwd(), file) for file in args.config_files.strip().split(" ")]
    ray.init()
    tune.register_trainable("train_func", objective_function)
    config = {}
    with open(os.path.join(os.getcwd(), args.params_file)) as params:
        for line in params:
            name, kind, *values = line.strip().split(" ")
            assert kind == "choice"
            config[name] = tune.choice(eval("".join(values)))
    scheduler = ASHAScheduler(metric="recall@10", mode="max", max_t=10, grace_period=1, reduction_factor=2)
    result = tune.run(
        tune.with_parameters(objective_function, config_file_list=files), config=config, num_samples=2,
        log_to_file=args.output_file, scheduler=scheduler, local_dir="./ray_log", resources_per_trial={"gpu": 1},
    )
    best_trial = result.get_best_trial("recall@10", "max", "last")
    print("best params: ", best_trial.config)
    print("best result: ", best_trial.last_result["recall@10"])


def hyperopt_tune(args):
    files = args.config_files.strip().split(" ")
    tuning = HyperTuning(objective_function=objective_function, algo="exhaustive", early_stop=10, max_evals=100,
                         params_file=args.params_file, fixed_config_file_list=files)
    tuning.run()
    tuning.export_result(output_file=args.output_file)
    print("best params: ", tuning.best_params)
    print("best result: ", tuning.params2result[tuning.params2str(tuning.best_params)]["best_valid_result"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for flag, default in (("config_files", None), ("params_file", None), ("output_file", "hyper_example.result"),
                          ("display_file", None), ("tool", "Hyperopt")):
        parser.add_argument(f"--{flag}", type=str, default=default)
    args, _ = parser.parse_known_args()
    ray_tune(args) if args.tool == "Ray" else hyperopt_tune(args)
"""

SPAWN = """
import multiprocessing
from recbole.utils import get_model


def find(queue, depth):
    queue.put((depth, get_model("LongInterest").__module__))
    if depth:
        start(queue, depth - 1)


def start(queue, depth):
    process = multiprocessing.get_context("spawn").Process(target=find, args=(queue, depth))
    process.start()
    process.join()


if __name__ == "__main__":
    queue = multiprocessing.get_context("spawn").SimpleQueue()
    start(queue, 1)
    print("FOUND", queue.get(), queue.get())
"""

SETTINGS = """
data_path: data
epochs: 2
embedding_size: 8
hidden_size: 8
state: ERROR
show_progress: False
train_neg_sample_args: ~
load_col: {inter: [user_id, item_id, rating, timestamp]}
"""


@pytest.fixture
def script(write_dataset: Callable[..., Path], tmp_path: Path) -> Callable[..., str]:
    """What a script prints under the plugin."""
    write_dataset("tiny", synthetic_inter())
    (tmp_path / "li.yaml").write_text(SETTINGS)
    (tmp_path / "hyper.yaml").write_text(f"model: LongInterest\ndataset: tiny\n{SETTINGS}")
    (tmp_path / "params.test").write_text("learning_rate choice [0.01,0.001]\n")

    def run(code: str, *arguments: str) -> str:
        (tmp_path / "script.py").write_text(code)
        done = subprocess.run(
            [sys.executable, "-m", "recbole_longinterest", "script.py", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "RAY_NUM_CPUS": "1"},
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
        return done.stdout

    return run


@pytest.mark.slow
def test_run_recbole_with_one_process_and_with_two(script: Callable[..., str]) -> None:
    flags = ["--model=LongInterest", "--dataset=tiny", "--config_files=li.yaml", "--nproc=2"]
    assert script(RUN, *flags, f"--port={29000 + os.getpid() % 1000}").count("RESULT ['hit@10', 'mrr@10'") == 2


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["Hyperopt", "Ray"])
def test_run_hyper(script: Callable[..., str], tool: str, tmp_path: Path) -> None:
    out = script(HYPER, "--config_files=hyper.yaml", "--params_file=params.test", f"--tool={tool}")
    assert "best params:  {'learning_rate': 0.0" in out and "best result: " in out
    if tool == "Ray":
        assert list((tmp_path / "ray_log").glob("*/*/hyper_example.result")) or list((tmp_path / "ray_log").iterdir())


@pytest.mark.slow
def test_every_spawned_process_knows_the_plugin(script: Callable[..., str]) -> None:
    module = "recbole_longinterest.plugin.longinterest"
    assert f"FOUND (1, '{module}') (0, '{module}')" in script(SPAWN)


def test_usage_and_a_missing_script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from recbole_longinterest.__main__ import main

    for argv, code, text in (
        ([], 2, "usage: python -m recbole_longinterest COMMAND"),
        (["-h"], 0, "usage:"),
        (["gone.py"], 2, "recbole_longinterest: error: There is no script gone.py."),
    ):
        monkeypatch.setattr(sys, "argv", ["recbole_longinterest", *argv])
        assert main() == code
        assert text in capsys.readouterr().err


def test_a_command_of_recbole_li(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from recbole_longinterest.__main__ import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["recbole_longinterest", "completion", "bash"])
    assert main() == 0
    assert "recbole-li" in capsys.readouterr().out
    Path("completion").write_text("print('the script')")
    assert main() == 0
    assert capsys.readouterr().out == "the script\n"


def test_tune_run_gets_what_ray_takes_and_the_machine_has(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    given: dict[str, Any] = {}
    tune: Any = SimpleNamespace(run=lambda *args, **kwargs: given.update(kwargs))
    scripts._adapt_tune(tune)
    monkeypatch.setattr(scripts, "_gpus", lambda: 0)
    tune.run(None, local_dir="./ray_log", resources_per_trial={"gpu": 1, "cpu": 2}, num_samples=5)
    assert given["storage_path"] == str(tmp_path / "ray_log") and "local_dir" not in given
    assert given["resources_per_trial"] == {"gpu": 0, "cpu": 2} and given["num_samples"] == 5
    assert "tune.run asks for 1 GPU per trial and there are 0: trials get 0." in caplog.text
    monkeypatch.setattr(scripts, "_gpus", lambda: 2)
    tune.run(None, storage_path="/else", resources_per_trial={"gpu": 1})
    assert given["storage_path"] == "/else" and given["resources_per_trial"] == {"gpu": 1}


def test_ray_workers_get_the_plugin() -> None:
    given: dict[str, Any] = {}
    ray: Any = SimpleNamespace(init=lambda **kwargs: given.update(kwargs))
    scripts._ray_workers(ray)
    ray.init(num_cpus=1, runtime_env={"env_vars": {"A": "b"}})
    hook, variables = given["runtime_env"]["worker_process_setup_hook"], given["runtime_env"]["env_vars"]
    assert (hook, variables) == (
        "recbole_longinterest.plugin.scripts.plugin_in_spawned",
        {"RAY_CHDIR_TO_TRIAL_DIR": "0", "A": "b"},
    )
