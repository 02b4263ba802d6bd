"""One run by workers of a cluster: the results of `--nproc`, and a node that dies costs an epoch."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray.train import ControllerError, WorkerGroupError

from recbole_longinterest.cli import main
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.training import processes
from recbole_longinterest.training.cluster import driver
from recbole_longinterest.training.cluster.driver import SNAPSHOT, Workers, run_on_ray
from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter

EPOCHS = 12
SETTINGS: dict[str, Any] = {
    **{"text_features": "off", "embedding_size": 8, "hidden_size": 8, "train_batch_size": 64, "epochs": EPOCHS},
    **{"stopping_step": 100, "metric_decimal_place": 12, "show_progress": False, "gpu_id": ""},
}

TWO_NODES = """
import json, os, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from recbole_longinterest.training.cluster.driver import SNAPSHOT, Workers, run_on_ray
from recbole_longinterest.training.settings import make_config
from ray.cluster_utils import Cluster
import ray

settings, storage = json.loads(sys.argv[1]), sys.argv[2]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
second = cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, log_to_driver=False)

config = make_config("LongInterest", "tiny", config_dict=settings)

def saved():
    try:
        kept = json.loads(next(Path(storage).glob("*/" + SNAPSHOT)).read_text())
        return kept["latest_checkpoint_result"] is not None
    except (StopIteration, ValueError):
        return False  # there is none, or Ray is writing it

with ThreadPoolExecutor(1) as pool:  # nodes start in the main thread alone
    run = pool.submit(run_on_ray, config, Workers(2, storage=storage))
    while not run.done() and not saved():
        time.sleep(0.02)
    cluster.remove_node(second, allow_graceful=False)
    print("ENDED", int(run.done()), flush=True)
    cluster.add_node(num_cpus=1)
    found = run.result()
print("RESULT", json.dumps([found.best_valid_score, found.best_valid_result, found.test_result, str(found.checkpoint)]))
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.slow
def test_a_node_that_dies_costs_an_epoch_and_the_results_are_those_of_nproc(
    write_dataset: Callable[..., Path],
    tmp_path: Path,
    python: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("RAY_worker_niceness", "0")
    settings = {**SETTINGS, "data_path": str(write_dataset("tiny", synthetic_inter(users=31)))}
    out = python(TWO_NODES, json.dumps(settings), str(tmp_path / "storage"), cwd=tmp_path).stdout
    said = dict(line.split(" ", 1) for line in out.splitlines() if line.split(" ", 1)[0].isupper())
    assert said["ENDED"] == "0"  # it was killed in time
    score, valid, test, checkpoint = json.loads(said["RESULT"])

    logs = "".join(file.read_text() for file in (tmp_path / "log").rglob("*.log"))
    assert sorted(map(int, re.findall(r"epoch (\d+) training", logs))) == list(range(EPOCHS))  # none from the start
    assert len(list((tmp_path / "log").rglob("*.log"))) == 2  # the second worker group went on
    assert {file.name for file in (tmp_path / "saved").iterdir()} == {
        Path(checkpoint).name,
        f"{Path(checkpoint).name}.last",
    }

    given = {**settings, "checkpoint_dir": "of_processes", "resume": True, "nproc": 2}
    with command_line([]):
        config = make_config("LongInterest", "tiny", config_dict=given)
        two = processes.run(config, ("LongInterest", "tiny", [], given), [])
    assert (two.best_valid_score, two.best_valid_result, two.test_result) == (score, valid, test)
    assert two.checkpoint is not None and two.checkpoint.name == Path(checkpoint).name


# --- what is wrong is said before Ray starts -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "workers", "message"),
    [
        ({"nproc": 2}, {}, r"^With --ray, --workers says how many processes train\. Leave nproc and world_size out"),
        ({}, {"gpus": 2}, r"^--gpus-per-worker must be 0 or 1, because a worker trains on one GPU; got 2\.$"),
        ({}, {"cpus": 0}, r"^A worker needs a CPU or a GPU; got --cpus-per-worker 0 and --gpus-per-worker 0\.$"),
    ],
)
def test_settings_that_do_not_hold(
    small_config: Callable[..., Any], changes: dict[str, Any], workers: dict[str, Any], message: str
) -> None:
    config = small_config(**changes)
    with pytest.raises(ValueError, match=message):
        run_on_ray(config, Workers(2, **workers))


def test_a_run_is_found_by_its_settings(small_config: Callable[..., Any], tmp_path: Path) -> None:
    config = small_config()
    config["resume"] = "saved/x.pth"
    with pytest.raises(ValueError, match=r"With --ray a run is found by its settings\. Give --resume without a file"):
        run_on_ray(config, Workers(2))
    config["resume"] = False
    name = driver._name_of_run(_of_two(small_config()))
    (tmp_path / "storage" / name).mkdir(parents=True)
    (tmp_path / "storage" / name / SNAPSHOT).touch()
    with pytest.raises(ValueError, match=r"holds a run of these settings\. Give --resume to continue it, or another"):
        run_on_ray(config, Workers(2, storage=str(tmp_path / "storage")))


def _of_two(config: Any) -> Any:
    for table in (config.final_config_dict, config.external_config_dict):
        table.update(nproc=2, world_size=2)
    return config


def test_too_few_cores_are_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(driver.ray, "cluster_resources", lambda: {"CPU": 2.0})
    with pytest.raises(ValueError, match=r"^3 workers of 1 CPU need 3 and Ray has 2\. Give fewer --workers, or"):
        driver._check_resources(Workers(3))
    driver._check_resources(Workers(3, cpus=0.5))
    driver._check_resources(Workers(2, address="auto", gpus=1))
    assert "2 workers of 1 GPU need 2 and Ray has 0. The run waits for more nodes." in caplog.text


def test_errors_of_workers_are_one_sentence() -> None:
    wrong = driver._SettingsEndTheRun()
    with pytest.raises(ValueError, match=r"^hidden_size is wrong$") as refused:
        wrong.after_exception(None, {1: LongInterestError("hidden_size is wrong")})
    wrong.after_exception(None, {1: RuntimeError("a peer is gone")})  # Ray begins again
    assert str(driver._said(ControllerError(refused.value))) == "hidden_size is wrong"
    failed = driver._said(
        WorkerGroupError("", {0: RuntimeError("a peer is gone"), 1: RayTaskDied("killed\nfor memory")})
    )
    assert isinstance(failed, processes.ProcessError)
    assert str(failed).startswith("worker 1 failed: RayTaskDied: for memory The same command with --resume continues")


class RayTaskDied(Exception):
    """Stands in for Ray's errors of workers that are gone."""


RayTaskDied.__module__ = "ray.exceptions"


def test_ctrl_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(driver._Trainer, "fit", stop)
    task: Any = None
    with pytest.raises(KeyboardInterrupt, match=r"^stopped; the same command with --resume continues after the last"):
        driver._fit(task, Workers(1), "name", *driver.open_storage("storage"))


@pytest.mark.parametrize("option", ["--workers=2", "--storage=x", "--max-failures=1", "--address=auto"])
def test_options_of_ray_need_it(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["run", "--dataset=ml-100k", option]) == 2
    name = option.partition("=")[0]
    assert capsys.readouterr().err == (
        f"recbole-li: error: {name} only works with --ray. Add --ray, or leave {name} out.\n"
    )
