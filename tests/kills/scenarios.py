"""What the warm process runs: a command as typed, or parts of those that start processes of their own."""

import hashlib
import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from recbole_longinterest.cli import main
from recbole_longinterest.common import files
from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.data import item_texts
from recbole_longinterest.text import cache, encoder


class FakeEncoder:
    """Stands in for TextEncoder: a vector that depends on the text alone."""

    identity = "fake"
    batch_size = 4

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        seeds = [list(hashlib.sha256(text.encode()).digest()) for text in texts]
        return np.stack([np.random.default_rng(seed).standard_normal(16) for seed in seeds]).astype(np.float32)

    def unload(self) -> None:
        """Nothing is loaded."""


RealEncoder = encoder.TextEncoder
item_texts.TextEncoder = encoder.TextEncoder = FakeEncoder  # type: ignore[assignment,misc]


def command(*arguments: str) -> int:
    """Run `recbole-li`."""
    return main.main(arguments)


def without_exchange(*arguments: str) -> int:
    """Run `recbole-li` where folders cannot be exchanged in one step."""
    files.exchange = lambda one, other: False
    return command(*arguments)


def small_shards(*arguments: str) -> int:
    """Run `recbole-li` with shards of 16 texts, of which a small file has several."""
    cache.TEXTS_A_SHARD = 16
    return command(*arguments)


def compare_in_forks(*arguments: str) -> int:
    """Run `recbole-li compare` with cells in forks: a new process would import everything anew."""
    from recbole_longinterest.experiments.comparison import jobs

    fork = multiprocessing.get_context("fork")
    jobs.multiprocessing = SimpleNamespace(get_context=lambda kind: fork)  # type: ignore[assignment]
    return command(*arguments)


def search_without_ray(output: str, dataset: str) -> int:
    """What a search does to files: its plan, two trials one after the other, and its report."""
    from recbole_longinterest.experiments.tuning import driver, plan, records, report, space, trial

    trial.tune = SimpleNamespace(report=lambda metrics: None)  # type: ignore[assignment]
    context = SimpleNamespace(get_node_id=lambda: "here")
    trial.ray = SimpleNamespace(get_runtime_context=lambda: context)  # type: ignore[assignment]
    folder = Path(output).resolve()
    fixed = {"data_path": str(Path("data").resolve()), "epochs": 2, "hidden_size": 8, "embedding_size": 8}
    Path("space.yaml").write_text("learning_rate: {choice: [0.01, 0.001]}\n")
    planned = plan.Plan("GRU4Rec", dataset, "space.yaml", None, fixed, search="grid")
    drawn = space.read_space(Path("space.yaml"))
    config = plan.config_of(planned, drawn)
    folder.mkdir(exist_ok=True)
    with lock_files(folder / plan.PLAN, "searching in"):
        plan.keep_plan(planned, folder, resume=any((folder / records.TRIALS).glob(f"*/{records.TRIAL}")))
        task = trial.Task("GRU4Rec", dataset, plan.fixed_settings(planned, config), folder, {})
        for setting in plan.settings_of(planned, drawn, config) or ():
            here = Path.cwd()
            trial.run_trial({"setting": setting}, task)
            os.chdir(here)
    trials = records.read_trials(folder, config["valid_metric_bigger"])
    records.prune(trials)
    best = trials[0].best
    report.write_report(driver.Outcome(planned, config["valid_metric"], trials, best, best, False), folder)
    return 0
