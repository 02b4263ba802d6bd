"""One trial of a search in a Ray worker: train one setting and report every epoch, without test data."""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from recbole.config import Config

from recbole_longinterest.common.file_lock import FileLockError, lock_files
from recbole_longinterest.data.lookup import dataset_class
from recbole_longinterest.experiments.epochs import add_epoch, forget_epochs, read_epochs
from recbole_longinterest.experiments.tuning import records
from recbole_longinterest.experiments.tuning.protocol import PROTOCOLS, both_choices, line_of
from recbole_longinterest.plugin import own_models
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.plugin.runs import dataset_cache
from recbole_longinterest.plugin.runs.files import wanted_file
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import make_config

BEST = "best_valid_score"


@dataclass(frozen=True)
class Task:
    """Data shared by all trials of a search.

    Attributes:
        model: name of the model, or ``module:Class``.
        dataset: name of the data set.
        fixed: settings of every trial; paths in it are absolute.
        output: the search's folder, absolute.
        datasets: data sets in Ray's object store, by :func:`dataset_key`.
        module_folder: folder of the module of ``module:Class``.
        protocol: native or masked: the validation score that trials are compared by.
    """

    model: str
    dataset: str
    fixed: dict[str, Any]
    output: Path
    datasets: dict[str, ray.ObjectRef]
    module_folder: Path | None = None
    protocol: str = "native"

    def config(self, setting: dict[str, Any], folder: Path) -> Config:
        """RecBole's config of one trial, which writes its files into its own folder."""
        own = {"checkpoint_dir": str(folder), "resume": True, "show_progress": False, "state": "WARNING"}
        if self.module_folder is not None:
            own_models.search_folder(self.module_folder)
        with command_line(()):  # ignore the worker's arguments, which belong to Ray
            config = make_config(self.model, self.dataset, (), {**self.fixed, **setting, **own})
        for name, value in both_choices(config).items():
            config[name] = value
        return config


def dataset_key(config: Config) -> str:
    """Key of a config's data set; configs with the same data set have equal keys."""
    return repr((dataset_class(config).__name__, sorted(dataset_cache.arguments(config).items())))


def run_trial(given: dict[str, Any], task: Task) -> None:
    """Train one setting; Ray Tune calls this function.

    Every evaluated epoch is recorded and reported. Epochs that an earlier worker or search has recorded for this
    setting are only reported again.

    Args:
        given: the drawn values, under ``setting``.
        task: data shared by all trials.
    """
    setting = given["setting"]
    folder = records.folder_of(task.output, setting)
    with _locked(folder):
        records.begin(folder, setting, ray.get_runtime_context().get_node_id())
        config = task.config(setting, folder)
        unfinished = records.read_end(folder)[0] == records.UNFINISHED
        if unfinished and wanted_file(config) is None:  # the checkpoint is missing
            forget_epochs(folder)
        before = read_epochs(folder)
        for end in range(1, len(before) + 1):
            tune.report(_with_best(before[:end], config["valid_metric_bigger"]))
        if not unfinished:
            return
        os.chdir(folder)  # RecBole writes its log below the working directory
        try:
            _train(config, task, folder)
        except Exception as error:
            records.end(folder, records.ERROR, f"{type(error).__name__}: {' '.join(str(error).split())}"[:500])
            raise
        records.end(folder, records.FINISHED)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait for a running trial of the same setting; a space of choices may yield a setting twice."""
    while True:
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(lock_files(folder / records.TRIAL))
            except FileLockError:
                time.sleep(1)
                continue
            yield
            return


def _train(config: Config, task: Task, folder: Path) -> None:
    earlier = read_epochs(folder)
    begun = time.monotonic() - (earlier[-1]["seconds"] if earlier else 0.0)
    shared = task.datasets.get(dataset_key(config))

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        line = {**line_of(task.protocol, metrics), "epoch": epoch + 1, "seconds": time.monotonic() - begun}
        add_epoch(folder, line)
        tune.report(_with_best(read_epochs(folder), config["valid_metric_bigger"]))

    dataset = None if shared is None else ray.get(shared)
    pipeline.train(config, dataset=dataset, on_epoch=on_epoch, stop_by=PROTOCOLS[task.protocol])


def _with_best(epochs: Sequence[dict[str, float]], bigger: bool) -> dict[str, float]:
    """Add the best score so far to the last epoch's report, because Optuna reads only a trial's last report."""
    scores = [epoch["valid_score"] for epoch in epochs]
    return {**epochs[-1], BEST: max(scores) if bigger else min(scores)}
