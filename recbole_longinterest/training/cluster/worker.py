"""A worker of `recbole-li run --ray`: the training of one process, whose files go through Ray's storage."""

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

SAVED = "saved"  # folder of the checkpoints, in that of a worker
EPOCH, RESULT = "epoch", "result"  # what a worker reports


@dataclass(frozen=True)
class Task:
    """What all workers of a run get.

    Attributes:
        config: of the run, with the number of its processes; read and checked on the driver's machine.
        data: of :func:`~recbole_longinterest.training.cluster.shared_data.make_shared_data`, in Ray's object store.
        model: as the user named it, if it is ``module:Class``.
        module_folder: where that module is.
    """

    config: Config
    data: ray.ObjectRef
    model: str | None = None
    module_folder: Path | None = None


def train_worker(given: dict[str, Task]) -> None:
    """Train and evaluate in this worker; Ray Train calls this function.

    After each epoch the first worker's folder goes to Ray's storage, with the logs. A run that goes on begins with the
    folder of its last epoch.

    Args:
        given: the task, under ``task``.
    """
    task, rank = given["task"], train.get_context().get_world_rank()
    register()
    logging.getLogger().handlers.clear()  # Ray's, beside which RecBole would set none of its own
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
            if dist.is_initialized():  # after an error the others must not wait for this one
                dist.destroy_process_group()


def placed_config(config: Config, rank: int, checkpoints: Path) -> Config:
    """The config of one worker, which has joined the others.

    Args:
        config: of the run, of which this process has its own copy.
        rank: of this worker among all.
        checkpoints: folder of its checkpoints.
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
    """A result as JSON can hold it."""

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
    """A folder of this worker's own as working folder: RecBole writes its logs there."""
    before = Path.cwd()
    folder = Path(tempfile.mkdtemp(prefix="recbole-li-"))
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)
        shutil.rmtree(folder, ignore_errors=True)
