"""A worker of `recbole-li run --ray`: it trains as one process and saves its files through Ray Train."""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch.distributed as dist
from ray import train
from recbole.config import Config

from recbole_longinterest.plugin import own_models
from recbole_longinterest.plugin.register import register
from recbole_longinterest.plugin.runs.resumed_settings import PLACE
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.cluster.meeting import met_at
from recbole_longinterest.training.cluster.shared_data import loaders_of

SAVED = "saved"  # folder of the checkpoints inside the worker's folder
EPOCH, RESULT = "epoch", "result"  # keys of a worker's reports


@dataclass(frozen=True)
class Task:
    """Input of all workers of a run.

    Attributes:
        config: config of the run, with the number of its processes; made and checked in the driver.
        data: result of :func:`~recbole_longinterest.training.cluster.shared_data.make_shared_data`, in Ray's object
            store.
        model: ``module:Class`` of a user's own model; None for RecBole's models and the plugin's.
        module_folder: folder with that module.
    """

    config: Config
    data: ray.ObjectRef
    model: str | None = None
    module_folder: Path | None = None


def train_worker(given: dict[str, Task]) -> None:
    """Train and evaluate in this worker; Ray Train calls this function.

    After each epoch the first worker's folder is copied to Ray's storage, with the checkpoints and logs. A run that
    continues starts from the copy of its last epoch.

    Args:
        given: dict with the task under the key ``task``.
    """
    task, rank = given["task"], train.get_context().get_world_rank()
    register()
    logging.getLogger().handlers.clear()  # Ray's handlers; with them, RecBole would not add its own
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    if task.model is not None:
        if task.module_folder is not None:
            own_models.search_folder(task.module_folder)
        own_models.model_name(task.model)
    with _own_folder() as folder:
        before = train.get_checkpoint()
        if before is not None:
            before.to_directory(folder)
        config = placed_config(task.config, rank, folder / SAVED)

        def report(said: dict[str, Any]) -> None:
            files = train.Checkpoint.from_directory(folder) if rank == 0 else None
            train.report(said, checkpoint=files)

        try:
            loaders = loaders_of(config, ray.get(task.data))
            found = pipeline.run(config, loaders=loaders, after_save=lambda epoch: report({EPOCH: epoch + 1}))
            report({EPOCH: None, RESULT: _plain_result(found)})
        finally:
            if dist.is_initialized():  # after an error, the other workers must not wait for this one
                dist.destroy_process_group()


def placed_config(config: Config, rank: int, checkpoints: Path) -> Config:
    """Make the config of one worker and join the process group.

    Args:
        config: config of the run, this process's own copy; it is changed.
        rank: rank of this worker.
        checkpoints: folder for its checkpoints.

    Returns:
        The same config.
    """
    ip, port = met_at()
    for name in PLACE:
        config.final_config_dict.pop(name, None)
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "") if ray.get_gpu_ids() else ""
    own = {"ip": ip, "port": port, "local_rank": rank, "offset": 0, "gpu_id": gpus, "resume": True}
    own |= {"checkpoint_dir": str(checkpoints), "show_progress": False}
    for table in (config.final_config_dict, config.external_config_dict):
        table.update(own)
    config._init_device()
    return config


def _plain_result(found: pipeline.Run) -> dict[str, Any]:
    """Convert a result to JSON types."""

    def numbers(values: dict[str, float] | None) -> dict[str, float] | None:
        return None if values is None else {name: float(value) for name, value in values.items()}

    return {
        "best_valid_score": found.best_valid_score,
        "best_valid_result": numbers(found.best_valid_result),
        "test_result": numbers(found.test_result),
        "checkpoint": None if found.checkpoint is None else found.checkpoint.name,
        "reads_request_time": found.reads_request_time,
    }


@contextlib.contextmanager
def _own_folder() -> Iterator[Path]:
    """Use a temporary working folder in this worker; RecBole writes its logs there."""
    before = Path.cwd()
    folder = Path(tempfile.mkdtemp(prefix="recbole-li-"))
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)
        shutil.rmtree(folder, ignore_errors=True)
