"""`recbole-li run --ray`: one run on the workers of a Ray cluster, which survives the loss of a worker or a node."""

import contextlib
import copy
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import train
from ray.exceptions import RayError
from ray.train.torch import TorchTrainer
from recbole.config import Config

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.files import atomic_file
from recbole_longinterest.common.storage import open_storage
from recbole_longinterest.plugin import own_models
from recbole_longinterest.plugin.ray_session import ray_session
from recbole_longinterest.plugin.runs.files import own_name
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.cluster.meeting import MeetingConfig
from recbole_longinterest.training.cluster.shared_data import make_shared_data
from recbole_longinterest.training.cluster.worker import RESULT, SAVED, Task, train_worker
from recbole_longinterest.training.processes import ProcessError, several

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

KEPT = 2  # number of epochs kept in the storage: the last, and the one before in case copying the last fails
GOES_ON = "stopped; the same command with --resume continues after the last complete epoch."
SNAPSHOT = "checkpoint_manager_snapshot.json"  # written by Ray once a run has saved an epoch


@dataclass(frozen=True)
class Workers:
    """How a run is spread over a cluster.

    Attributes:
        number: number of workers; each is a process that trains on a share of every batch.
        address: address of a running Ray cluster, ``auto`` or ``host:port``; None starts Ray on this machine.
        storage: folder or URL for the run's files that all nodes can reach; None for ``checkpoint_dir``.
        cpus: CPU cores per worker; may be a fraction.
        gpus: GPUs per worker, 0 or 1.
        failures: maximum number of restarts after workers have died.
    """

    number: int
    address: str | None = None
    storage: str | None = None
    cpus: float = 1
    gpus: int = 0
    failures: int = 3


class _SettingRefused(LongInterestError):
    """An error caused by a setting. A retry would fail in the same way."""


class _SettingsEndTheRun(train.UserCallback):
    """End the run at once if a worker's error is caused by a setting; otherwise Ray retries."""

    def after_exception(self, run_context: object, worker_exceptions: dict[int, Exception]) -> None:
        """Ray calls this with the workers' errors by rank, before it restarts the workers."""
        for error in worker_exceptions.values():
            if isinstance(error, (ValueError, NotImplementedError)):
                raise _SettingRefused(str(error))


class _Trainer(TorchTrainer):
    """Ray's trainer without its own handler of Ctrl-C: the command handles it."""

    controller: Any = None

    def _register_sigint_handler(self, controller: Any) -> None:  # noqa: ANN401 - Ray's
        self.controller = controller


def run_on_ray(config: Config, workers: Workers, model: str | None = None) -> pipeline.Run:
    """Train and evaluate on the workers of a cluster.

    Each worker does the work of one process of ``--nproc``, with the same share of the data and the same seeds, so the
    results are the same. The data are read, split and encoded once, in this process, and the workers get them through
    Ray's object store. After each epoch the run's files are copied to the storage; a restarted run continues from them.

    Args:
        config: from :func:`~recbole_longinterest.training.settings.make_config`; its ``resume`` is True or unset.
        workers: number, place and resources of the workers.
        model: the user's name of the model; needed only for a ``module:Class``.

    Returns:
        The results. The files of the run are in ``checkpoint_dir``, as after any run.

    Raises:
        LongInterestError: if a setting is wrong, or the storage holds a run of these settings and ``resume`` is unset.
        ProcessError: if workers died more often than ``workers.failures``, or failed for another reason.
        KeyboardInterrupt: after Ctrl-C; its message says how to continue.
    """
    _check(config, workers)
    for table in (config.final_config_dict, config.external_config_dict):
        table.update(nproc=workers.number, world_size=workers.number)
    name, home = _name_of_run(config), Path(config["checkpoint_dir"])
    files, path = open_storage(workers.storage or str(home))
    with lock_files(home / f"{name}.pth"):
        _check_storage(files, f"{path}/{name}", bool(config["resume"]))
        with ray_session(workers.address, show_logs=not config["quiet"]):
            _check_resources(workers)
            own = model if model and own_models.is_own(model) else None
            data = ray.put(make_shared_data(config))
            task = Task(config, data, own, own_models.folder_of(own) if own else None)
            with _fetched(_fit(task, workers, name, files, path)) as (result, folder):
                return _kept(result, folder, home)


def _check(config: Config, workers: Workers) -> None:
    if several(config):
        raise LongInterestError("With --ray, --workers says how many processes train. Leave nproc and world_size out.")
    if config["resume"] not in (None, True, False):
        raise LongInterestError(
            f"With --ray a run is found by its settings. Give --resume without a file; got {config['resume']}."
        )
    if workers.gpus not in (0, 1):
        raise LongInterestError(
            f"--gpus-per-worker must be 0 or 1, because a worker trains on one GPU; got {workers.gpus}."
        )
    if not workers.cpus and not workers.gpus:
        raise LongInterestError("A worker needs a CPU or a GPU; got --cpus-per-worker 0 and --gpus-per-worker 0.")


def _name_of_run(config: Config) -> str:
    """Name of the run as the workers compute it. There ``single_spec`` is False, because the run is distributed."""
    twin = copy.copy(config)
    twin.final_config_dict = {**config.final_config_dict, "single_spec": False}
    return own_name(twin)


def _check_storage(files: "FileSystem", folder: str, resume: bool) -> None:
    from pyarrow.fs import FileType  # late: 0.1 s

    if not resume and files.get_file_info(f"{folder}/{SNAPSHOT}").type != FileType.NotFound:
        raise LongInterestError(
            f"{folder} holds a run of these settings. Give --resume to continue it, or another --storage."
        )


def _check_resources(workers: Workers) -> None:
    """Raise if this machine has too few CPUs or GPUs; warn on a cluster, where Ray waits for more nodes."""
    there = ray.cluster_resources()
    for kind, each in (("CPU", workers.cpus), ("GPU", workers.gpus)):
        if each * workers.number > there.get(kind, 0):
            message = (
                f"{workers.number} workers of {each} {kind} need {each * workers.number:g} and Ray has "
                f"{there.get(kind, 0):g}."
            )
            if workers.address is None:
                raise LongInterestError(f"{message} Give fewer --workers, or less --{kind.lower()}s-per-worker.")
            getLogger().warning(f"{message} The run waits for more nodes.")


def _fit(task: Task, workers: Workers, name: str, files: "FileSystem", path: str) -> train.Result:
    resources: dict[str, float] = {"CPU": workers.cpus, **({"GPU": workers.gpus} if workers.gpus else {})}
    trainer = _Trainer(
        train_worker,
        train_loop_config={"task": task},
        torch_config=MeetingConfig(),
        scaling_config=train.ScalingConfig(
            num_workers=workers.number, use_gpu=bool(workers.gpus), resources_per_worker=resources
        ),
        run_config=train.RunConfig(
            name=name,
            storage_path=path,
            storage_filesystem=files,
            failure_config=train.FailureConfig(max_failures=workers.failures),
            checkpoint_config=train.CheckpointConfig(num_to_keep=KEPT),
            callbacks=[_SettingsEndTheRun()],
            logging_config=train.LoggingConfig(log_level="ERROR"),
        ),
    )
    try:
        return trainer.fit()
    except KeyboardInterrupt as interrupt:
        if trainer.controller is not None:
            with contextlib.suppress(RayError):
                ray.get(trainer.controller.abort.remote(), timeout=30)
        raise KeyboardInterrupt(GOES_ON) from interrupt
    except train.TrainingFailedError as error:
        raise _said(error) from error


def _said(error: train.TrainingFailedError) -> Exception:
    """The error to show: that of the worker that failed first, because its absence makes the others fail."""
    cause = getattr(error, "controller_failure", None)
    if isinstance(cause, _SettingRefused):
        return LongInterestError(str(cause))
    failures = getattr(error, "worker_failures", {})
    ranked = sorted(failures.items(), key=lambda pair: (not type(pair[1]).__module__.startswith("ray."), pair[0]))
    rank, first = ranked[0] if ranked else (None, cause or error)
    lines = [line.strip() for line in str(first).splitlines() if line.strip()] or [type(first).__name__]
    who = "the run" if rank is None else f"worker {rank}"
    return ProcessError(
        f"{who} failed: {type(first).__name__}: {lines[-1][:300]} The same command with --resume continues after "
        "the last complete epoch."
    )


@contextlib.contextmanager
def _fetched(result: train.Result) -> Iterator[tuple[dict[str, Any], Path]]:
    """Yield the result that the first worker reported, and a temporary folder with its files."""
    if result.checkpoint is None or RESULT not in (result.metrics or {}):
        raise ProcessError("The workers ended without a result.")
    with tempfile.TemporaryDirectory() as folder:
        result.checkpoint.to_directory(folder)
        yield result.metrics[RESULT], Path(folder)


def _kept(result: dict[str, Any], folder: Path, home: Path) -> pipeline.Run:
    """Copy the files of a run to where a run on this machine writes them, and return its results."""
    for file in sorted(folder.rglob("*")):
        if not file.is_file() or file.name.startswith("."):
            continue
        inside = file.relative_to(folder)
        place = home / inside.relative_to(SAVED) if inside.parts[0] == SAVED else Path(inside)
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(place) as draft:
            draft.write_bytes(file.read_bytes())
    checkpoint = result["checkpoint"] and home / result["checkpoint"]
    return pipeline.Run(**{**result, "checkpoint": checkpoint})
