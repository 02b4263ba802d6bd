"""Searches on a small data set, in one Ray; those that are killed run as a user's command."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.cli import main
from recbole_longinterest.experiments.tuning import records
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import make_config
from tests.conftest import FakeEncoder, synthetic_inter, synthetic_item

pytestmark = pytest.mark.slow
FIXED: dict[str, Any] = {
    **{"epochs": 4, "embedding_size": 8, "hidden_size": 8, "show_progress": False, "state": "ERROR"},
    **{"one_pass": True, "exact_order": True, "loss_type": "CE", "valid_metric": "NDCG@10", "train_batch_size": 64},
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "metrics": ["Recall", "MRR", "NDCG", "Hit", "Precision", "ItemCoverage"],
}


@pytest.fixture
def plan(write_dataset: Callable[..., Path], tmp_path: Path) -> Callable[..., Any]:
    """Plan of a search over GRU4Rec; the space is a text."""

    def make(space: str = "learning_rate: {loguniform: [0.001, 0.1]}\n", **changes: Any) -> Any:
        from recbole_longinterest.experiments.tuning.driver import Plan

        root = write_dataset("tiny", synthetic_inter(), synthetic_item())
        file = tmp_path / "space.yaml"
        file.write_text(space)
        fixed = {**FIXED, "data_path": str(root), **changes.pop("fixed", {})}
        base = Plan("GRU4Rec", "tiny", str(file), trials=3, fixed=fixed, concurrent=2)
        return replace(base, **changes)

    return make


@pytest.mark.usefixtures("one_ray")
def test_a_search_from_start_to_summary(
    plan: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reporters = "ray.tune.progress_reporter"  # in a notebook Ray's own one clears the cell, with the bar in it
    monkeypatch.setattr(f"{reporters}.IS_NOTEBOOK", True)
    monkeypatch.setattr(f"{reporters}.TrialProgressCallback.display_result", lambda *_, **__: None)  # needs IPython
    monkeypatch.setattr(f"{reporters}.JupyterNotebookReporter", lambda **_: pytest.fail("Ray's reporter is used"))
    from recbole_longinterest.experiments.tuning.driver import search
    from recbole_longinterest.experiments.tuning.report import write_report

    output = tmp_path / "out"
    space = "learning_rate: {loguniform: [0.001, 0.1]}\nMAX_ITEM_LIST_LENGTH: {choice: [3, 50]}\ndropout_prob: 0.1\n"
    outcome = search(plan(space), output, show_progress=False)
    text = write_report(outcome, output)
    assert not outcome.interrupted
    assert [trial.status for trial in outcome.trials].count(records.FINISHED) >= 1
    scores = [trial.score for trial in outcome.trials]
    assert scores == sorted(scores, reverse=True)

    # The winner's file, run by itself, gives its figures to the last digit.
    again = pipeline.run(make_config(config_files=[output / "best.yaml"]))
    assert again.best_valid_score == outcome.trials[0].score
    assert again.best_valid_result == {n: v for n, v in outcome.valid_result.items() if n in again.best_valid_result}
    assert again.test_result == outcome.test_result

    rows = list(csv.DictReader((output / "trials.csv").open()))
    assert [float(row["valid_score"]) for row in rows] == scores
    assert {row["MAX_ITEM_LIST_LENGTH"] for row in rows} <= {"3", "50"} and rows[0]["node"]
    assert f"{outcome.test_result['ndcg@10']:.4f}" in text and text == (output / "summary.md").read_text()
    for picture in ("progress.png", "settings.png"):
        assert (output / picture).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert (output / "best.pth").is_file()
    own = {"learning_rate": "0.001", "MAX_ITEM_LIST_LENGTH": "50", "dropout_prob": "0.1"}  # and the space's constant
    assert any(own.items() <= row.items() for row in rows)
    others = outcome.trials[1:]
    assert all(trial.checkpoint is None for trial in others)
    assert not (output / "ray").exists()

    with pytest.raises(ValueError, match=r"holds a search\. Give --resume"):
        search(plan(space), output)
    with pytest.raises(ValueError, match="scheduler is 'none' and was 'asha'"):
        search(plan(space, scheduler="none"), output, resume=True)
    more = search(plan(space, trials=5), output, resume=True, show_progress=False)
    assert len(more.trials) == 5 and {trial.name for trial in outcome.trials} < {trial.name for trial in more.trials}


@pytest.mark.usefixtures("one_ray")
def test_a_search_by_the_masked_protocol(plan: Callable[..., Any], tmp_path: Path) -> None:
    from recbole_longinterest.experiments.tuning.driver import search
    from recbole_longinterest.experiments.tuning.report import write_report

    output = tmp_path / "out"
    searched = plan(protocol="masked", trials=2, scheduler="none", fixed={"metric_decimal_place": 12})
    outcome = search(searched, output, show_progress=False)
    text = write_report(outcome, output)
    best = outcome.trials[0]
    assert outcome.metric == "seen-masked NDCG@10" and "chosen by validation seen-masked NDCG@10" in text
    assert best.score == max(epoch["seen-masked"] for epoch in best.epochs) and "ndcg@10" in best.epochs[0]
    assert "masked protocol" in (output / "best.yaml").read_text()
    again = pipeline.train(make_config(config_files=[output / "best.yaml"]))
    assert again.trainer.choices[0].score == best.score
    assert outcome.test_result["seen-masked"] > 0
    other = (output / "best.native.yaml").read_text()
    native = max(epoch["ndcg@10"] for trial in outcome.trials for epoch in trial.epochs)
    assert f"2 trials by validation NDCG@10, {native!r}" in other and "stopped its trials by the masked" in other
    chosen = make_config(config_files=[output / "best.native.yaml"])
    (winner,) = [trial for trial in outcome.trials if max(epoch["ndcg@10"] for epoch in trial.epochs) == native]
    assert {name: chosen[name] for name in winner.setting} == winner.setting and not chosen["best_by"]


@pytest.mark.usefixtures("one_ray")
def test_trials_that_fail_say_why_and_the_rest_goes_on(plan: Callable[..., Any], tmp_path: Path) -> None:
    from recbole_longinterest.experiments.tuning.driver import search
    from recbole_longinterest.experiments.tuning.report import write_report

    space = "n_heads: {choice: [2, 3]}\nlearning_rate: {choice: [0.01, 1.0e+30], when: {n_heads: 2}}\n"
    sas = plan(
        space, model="SASRec", search="grid", trials=None, scheduler="none", fixed={"n_layers": 1, "inner_size": 8}
    )
    outcome = search(sas, tmp_path / "out", show_progress=False)
    by_setting = {(t.setting["n_heads"], t.setting.get("learning_rate")): t for t in outcome.trials}
    assert by_setting[2, 0.01].status == records.FINISHED and len(by_setting[2, 0.01].epochs) == 4
    assert "multiple of the number of attention heads" in by_setting[3, None].reason
    assert "nan" in by_setting[2, 1e30].reason.lower()
    assert {t.status for t in outcome.trials[1:]} == {records.ERROR}
    assert outcome.trials[0].setting == {"n_heads": 2, "learning_rate": 0.01} and outcome.test_result
    summary = write_report(outcome, tmp_path / "out")
    assert "Failed:" in summary and "attention heads" in summary


@pytest.mark.usefixtures("one_ray")
def test_optuna_learns_and_goes_on(plan: Callable[..., Any], tmp_path: Path) -> None:
    from recbole_longinterest.experiments.tuning.driver import search

    space = "learning_rate: {loguniform: [0.001, 0.1]}\nMAX_ITEM_LIST_LENGTH: {choice: [3, 6]}\n"
    first = search(plan(space, search="optuna", trials=2), tmp_path / "out", show_progress=False)
    more = search(plan(space, search="optuna", trials=4), tmp_path / "out", resume=True, show_progress=False)
    before, after = ({trial.name: trial.epochs for trial in out.trials} for out in (first, more))
    assert len(before) == 2 and len(after) == 4
    assert all(after[name] == epochs for name, epochs in before.items())  # not trained again


@pytest.mark.parametrize("length", [3, 6])
@pytest.mark.usefixtures("one_ray")
def test_data_and_texts_are_made_once(
    plan: Callable[..., Any], tmp_path: Path, fake_encoder: FakeEncoder, length: int
) -> None:
    import ray

    from recbole_longinterest.experiments.tuning import driver
    from recbole_longinterest.experiments.tuning.space import read_space
    from recbole_longinterest.experiments.tuning.trial import Task, dataset_key

    fixed = {"text_fields": ["title"], "text_dim": 4}
    li = plan(
        "MAX_ITEM_LIST_LENGTH: {choice: [3, 6]}\ndropout_prob: {uniform: [0, 1]}\n", model="LongInterest", fixed=fixed
    )
    task = Task("LongInterest", "tiny", li.fixed, tmp_path, {})
    task.datasets.update(driver._share_datasets(task, read_space(Path(li.space))))
    assert len(task.datasets) == 2
    config = task.config({"MAX_ITEM_LIST_LENGTH": length, "dropout_prob": 0.3}, tmp_path / "trial")
    encoded = len(fake_encoder.encoded)
    dataset = ray.get(task.datasets[dataset_key(config)])
    assert dataset.max_item_list_len == length
    assert dataset.text_source.matrix().vectors.shape == (dataset.item_num, 4)
    assert encoded == 20 and len(fake_encoder.encoded) == encoded  # the second window found the cache


@pytest.mark.parametrize(
    ("space", "changes", "message"),
    [
        ("lerning_rate: {uniform: [0, 1]}\n", {}, "GRU4Rec has no setting lerning_rate"),
        ("embedding_size: {choice: [8]}\n", {}, "embedding_size is searched by .* and given as 8"),
        ("valid_metric: {choice: [MRR@10, NDCG@10]}\n", {}, "compared by one valid_metric"),
        ("learning_rate: {uniform: [0, 1]}\n", {"search": "grid"}, "a grid has no uniform"),
        ("learning_rate: 0.1\n", {"fixed": {"eval_step": 0}}, "eval_step must be at least 1"),
        ("learning_rate: 0.1\n", {"fixed": {"nproc": 2}}, "A trial is one process"),
        ("model: {choice: [GRU4Rec, SASRec]}\n", {}, "tune sets model itself; leave it out"),
        ("learning_rate: 0.1\n", {"fixed": {"checkpoint_dir": "x"}}, "tune sets checkpoint_dir itself; leave it out"),
        ("learning_rate: 0.1\n", {"cpus": 0}, "A trial needs a CPU, a GPU or a part of one"),
    ],
)
def test_a_plan_that_does_not_hold(
    plan: Callable[..., Any], tmp_path: Path, space: str, changes: dict[str, Any], message: str
) -> None:
    from recbole_longinterest.experiments.tuning.driver import search

    with pytest.raises(ValueError, match=message):
        search(plan(space, **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_one_sentence(plan: Callable[..., Any], tmp_path: Path) -> None:
    from recbole_longinterest.experiments.tuning.driver import search

    (tmp_path / "out").write_text("kept")
    with pytest.raises(ValueError, match=r"The folder .*out cannot be made \(File exists\)"):
        search(plan("learning_rate: {uniform: [0.001, 0.002]}\n"), tmp_path / "out")
    assert (tmp_path / "out").read_text() == "kept"


# --- killed ----------------------------------------------------------------------------------------------------------


def arguments(plan: Any, output: Path, *more: str) -> list[str]:
    settings = [f"--{name}={value}" for name, value in plan.fixed.items()]
    return ["tune", "--model", plan.model, "--dataset", "tiny", "--space", plan.space,
            "--trials", str(plan.trials), "--scheduler", "none", "--max-concurrent", "2", "--output", str(output),
            "--quiet", *settings, *more]  # fmt: skip


def start(arguments: list[str]) -> subprocess.Popen[str]:
    """The command in a process of its own, with a Ray of its own."""
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from recbole_longinterest.cli.main import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def lines(output: Path) -> dict[str, list[int]]:
    found = {}
    for file in (output / records.TRIALS).glob("*/epochs.jsonl"):
        found[file.parent.name] = [json.loads(line)["epoch"] for line in file.read_text().splitlines()]
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.05)


@pytest.mark.usefixtures("one_ray")
def test_a_search_that_was_stopped_twice_goes_on(plan: Callable[..., Any], tmp_path: Path) -> None:
    output, epochs = tmp_path / "out", 60
    long = plan(fixed={"epochs": epochs, "stopping_step": 100})
    before: dict[str, list[int]] = {}
    for how, more in ((signal.SIGINT, []), (signal.SIGKILL, ["--resume"])):
        done = sum(map(len, before.values()))
        running = start(arguments(long, output, *more))
        wait_for(lambda done=done: sum(map(len, lines(output).values())) > done + 5)
        running.send_signal(how)
        out, err = running.communicate(timeout=120)
        if how == signal.SIGINT:
            assert running.returncode == 130, err
            assert "the same command with --resume to continue" in out and "Traceback" not in err
            assert "--resume" in (output / "summary.md").read_text()
        time.sleep(2)  # its workers notice
        assert_goes_on(before, before := lines(output))
        before = {name: numbers for name, numbers in before.items() if has_checkpoint(output, name)}
        assert sum(map(len, before.values())) < 3 * epochs

    assert main.main(arguments(long, output, "--resume")) == 0
    after = lines(output)
    assert len(after) == 3
    assert_goes_on(before, after)
    for numbers in after.values():
        assert sorted(set(numbers)) == list(range(1, epochs + 1))
        assert len(numbers) <= epochs + 2  # the epoch that ran at a stop, and no other, was run again


def has_checkpoint(output: Path, name: str) -> bool:
    """Whether a trial has a checkpoint; one that was stopped in its first epoch, before that, starts again."""
    return any((output / records.TRIALS / name).glob("*.pth"))


def assert_goes_on(before: dict[str, list[int]], after: dict[str, list[int]]) -> None:
    """What was done is still there."""
    for name, numbers in before.items():
        assert after[name][: len(numbers)] == numbers, name


@pytest.mark.usefixtures("one_ray")
def test_a_worker_that_dies_is_run_again(plan: Callable[..., Any], tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    from recbole_longinterest.experiments.tuning.driver import search

    output, epochs = tmp_path / "out", 60
    long = plan(trials=2, scheduler="none", fixed={"epochs": epochs, "stopping_step": 100})

    def kill_a_worker() -> None:
        wait_for(lambda: any(len(done) > 3 for done in lines(output).values()))
        workers = [p for p in psutil.Process().children(recursive=True) if "ray::Impl" in " ".join(p.cmdline())]
        next(worker for worker in workers if Path(worker.cwd()).is_relative_to(output)).kill()

    with ThreadPoolExecutor(1) as pool:
        killer = pool.submit(kill_a_worker)
        outcome = search(long, output, show_progress=False)
        killer.result()
    assert [trial.status for trial in outcome.trials] == [records.FINISHED] * 2
    assert all(len(trial.epochs) == epochs for trial in outcome.trials)


GREEDY = """
import sys, time
import numpy
from recbole_longinterest.cli import main
from recbole_longinterest.experiments.tuning import driver


def greedy(given, task):
    from recbole_longinterest.experiments.tuning.trial import run_trial

    held = []
    for _ in range(24 if given["setting"]["hidden_size"] == 16 else 0):
        held.append(numpy.ones(2**26))  # half a GiB, which is 12 GiB in the end
        time.sleep(0.1)
    assert not held, "it was not killed"
    run_trial(given, task)


driver.run_trial = greedy
sys.exit(main.main(sys.argv[1:]))
"""


def test_a_trial_that_ray_kills_for_memory_fails_and_the_search_goes_on(
    plan: Callable[..., Any], tmp_path: Path, python: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = pytest.importorskip("psutil").virtual_memory()
    if memory.available < 6 * 2**30:
        pytest.skip("too little memory to tell one process from the others")
    limit = (memory.total - memory.available + 3 * 2**30) / memory.total
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{limit:.4f}")  # read by the Ray that the command starts
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    two = plan("hidden_size: {choice: [16, 8]}\n", fixed={"epochs": 2})
    two.fixed.pop("hidden_size")
    own = arguments(two, tmp_path / "out", "--search=grid", "--max-concurrent=1")
    assert "killed because the machine ran out of memory" in python(GREEDY, *own).stdout
    good, bad = records.read_trials(tmp_path / "out", bigger=True)
    assert (good.setting, good.status, len(good.epochs)) == ({"hidden_size": 8}, records.FINISHED, 2)
    assert (bad.setting, bad.status) == ({"hidden_size": 16}, records.ERROR)
    assert bad.reason == "killed because the machine ran out of memory. Lower --max-concurrent."


TWO_NODES = """
import json, os, sys, threading, time
from pathlib import Path
from recbole_longinterest.experiments.tuning import records
from recbole_longinterest.experiments.tuning.driver import Plan, search
from ray.cluster_utils import Cluster
import ray

plan, output = Plan(**json.loads(sys.argv[1])), Path(sys.argv[2])
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
second = cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, log_to_driver=False)

def kill():
    nodes = set()
    while True:
        trials = records.read_trials(output, True)
        nodes |= {t.node for t in trials if t.epochs}
        if len(nodes) == 2 and any(t.status == records.FINISHED for t in trials) and any(
            t.node == second.node_id and t.status == records.UNFINISHED and t.epochs for t in trials
        ):
            break
        time.sleep(0.05)
    print("FINISHED", sorted(t.name for t in trials if t.status == records.FINISHED), flush=True)
    print("NODES", len(nodes), flush=True)
    cluster.remove_node(second, allow_graceful=False)

threading.Thread(target=kill, daemon=True).start()
outcome = search(plan, output, show_progress=False)
print("STATUS", sorted((t.name, t.status, len(t.epochs)) for t in outcome.trials), flush=True)
os._exit(0)
"""


def test_two_nodes_and_one_dies(plan: Callable[..., Any], tmp_path: Path, python: Callable[..., Any]) -> None:
    long = plan(trials=5, scheduler="none", concurrent=None, fixed={"epochs": 40, "stopping_step": 100})
    out = python(TWO_NODES, json.dumps(long.__dict__), str(tmp_path / "out")).stdout
    printed = dict(line.split(" ", 1) for line in out.splitlines() if line.split(" ", 1)[0].isupper())
    assert printed["NODES"] == "2"
    ended = {name: (status, epochs) for name, status, epochs in eval(printed["STATUS"])}
    assert len(ended) == 5
    assert all(value == (records.FINISHED, 40) for value in ended.values()), ended
    assert all(name in ended for name in eval(printed["FINISHED"]))


def test_the_command_is_silent_about_ray_until_used() -> None:
    code = "import sys; from recbole_longinterest.cli import main; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ}).returncode == 0


def test_a_search_has_its_folder_to_itself(plan: Callable[..., Any], tmp_path: Path) -> None:
    from recbole_longinterest.common.file_lock import lock_files
    from recbole_longinterest.experiments.tuning.driver import search

    output = (tmp_path / "out").resolve()
    with (
        lock_files(output / "search.json"),
        pytest.raises(ValueError, match=r"Another process is searching in .*search\.json .* give another --output"),
    ):
        search(plan(), output)
    assert not (output / "search.json").exists()


def test_equal_settings_at_one_time_wait_for_each_other(tmp_path: Path) -> None:
    from recbole_longinterest.common.file_lock import lock_files
    from recbole_longinterest.experiments.tuning.trial import _locked

    entered: list[float] = []

    def second() -> None:
        with _locked(tmp_path):
            entered.append(time.monotonic())

    with lock_files(tmp_path / records.TRIAL):
        twin = threading.Thread(target=second)
        twin.start()
        time.sleep(0.3)
        left = time.monotonic()
        assert not entered
    twin.join(30)
    assert entered and entered[0] >= left


def test_a_search_needs_validation_rows_and_the_cores_it_began_with(plan: Callable[..., Any], tmp_path: Path) -> None:
    from recbole_longinterest.experiments.tuning.driver import search
    from recbole_longinterest.experiments.tuning.plan import keep_plan

    for split in ({"LS": "test_only"}, {"RS": [0.8, 0, 0.2]}):
        given = plan(fixed={"eval_args": {"split": split, "order": "TO", "mode": "full"}})
        with pytest.raises(ValueError, match=r"A search needs a validation part, and the split .* has none"):
            search(given, tmp_path / "out")
    keep_plan(plan(cpus=3), tmp_path, resume=False)
    for resume in (False, True, False):  # nothing has begun: it may be mended
        keep_plan(plan(), tmp_path, resume=resume)
    records.begin(records.folder_of(tmp_path, {"a": 1}), {"a": 1}, "node")
    keep_plan(plan(trials=9), tmp_path, resume=True)
    with pytest.raises(ValueError, match="cannot resume with other settings: cpus is 2 and was 1"):
        keep_plan(plan(cpus=2), tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"cannot resume with other settings: epochs is 5 and was 4\.$"):
        keep_plan(plan(fixed={"epochs": 5}), tmp_path, resume=True)
    with pytest.raises(ValueError, match="holds a search"):
        keep_plan(plan(), tmp_path, resume=False)


def test_trials_are_compared_by_the_metric_of_the_space(plan: Callable[..., Any]) -> None:
    from recbole_longinterest.experiments.tuning.plan import config_of
    from recbole_longinterest.experiments.tuning.space import read_space

    given = plan("valid_metric: Recall@10\nepochs: 7\nlearning_rate: {uniform: [0.1, 0.2]}\n")
    del given.fixed["valid_metric"], given.fixed["epochs"]
    config = config_of(given, read_space(Path(given.space)))
    assert config["valid_metric"] == "Recall@10" and config["epochs"] == 7  # which the scheduler counts
