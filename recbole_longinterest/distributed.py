"""RecBole's ``nproc`` on a machine without GPU, and one run's processes agreeing with each other."""

from collections.abc import MutableMapping
from datetime import timedelta
from types import ModuleType
from typing import Any

import torch
import torch.distributed as dist
from recbole.config.configurator import Config
from recbole.data.dataset import Dataset
from recbole.evaluator import Collector
from recbole.trainer.trainer import AbstractTrainer, Trainer
from torch.nn.parallel import DistributedDataParallel

from recbole_longinterest.imports import QUICK_START, after_import

TIMEOUT = timedelta(minutes=30)


def from_first_rank(config: Config, value: str) -> str:
    """Rank 0's value on every rank of a distributed run; in a single process the value itself."""
    if config["single_spec"] or not dist.is_initialized():
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0, device=_group_device(config))
    return values[0]


def wait_for_all(config: Config) -> None:
    """Wait until every rank of a distributed run is here."""
    if not config["single_spec"] and dist.is_initialized():
        dist.barrier()


def leave_finished_group(config: Config) -> None:
    """Let a config of a distributed run, read from its checkpoint, serve in a single process."""
    if not config["single_spec"] and not dist.is_initialized():
        config["single_spec"] = True


def _group_device(config: Config) -> torch.device | None:
    return config["device"] if dist.get_backend() == "nccl" else None


def processes_without_gpu() -> None:
    """``nproc`` asserts GPU ids, NCCL, ``cuda.set_device`` and DDP ``device_ids`` (no upstream issue known).

    Without a GPU the processes meet through gloo and train on the CPU. With one RecBole's own code runs. And
    ``Dataset._download`` waits at a barrier that needs a process group, which a single process has not got.
    """
    init_device = Config._init_device
    init_trainer = AbstractTrainer.__init__
    download = Dataset._download

    def _init_device(self: Config) -> None:
        settings = self.final_config_dict
        if "local_rank" not in settings or torch.cuda.is_available():
            init_device(self)
            return
        rank = settings.pop("local_rank")
        init_device(self)  # as for a single process: gpu_id, and the CPU as device
        dist.init_process_group(
            backend="gloo",
            rank=rank + settings["offset"],
            world_size=settings["world_size"],
            init_method=f"tcp://{settings['ip']}:{settings['port']}",
            timeout=TIMEOUT,
        )
        settings["local_rank"] = rank
        settings["single_spec"] = False
        if rank != 0:
            settings.update(state="error", show_progress=False, verbose=False)

    def __init__(self: AbstractTrainer, config: Config, model: torch.nn.Module) -> None:
        if config["single_spec"] or config["device"].type == "cuda":
            init_trainer(self, config, model)
            return
        self.config = config
        self.model = model  # SyncBatchNorm works on a GPU only
        self.distributed_model = DistributedDataParallel(model)

    def _download(self: Dataset) -> None:
        try:
            download(self)
        except ValueError as error:  # from the barrier, RecBole's last step
            if dist.is_initialized() or "process group" not in str(error):
                raise

    Config._init_device = _init_device
    AbstractTrainer.__init__ = __init__
    Dataset._download = _download


def run_recboles(rank: int, *args: Any) -> None:  # noqa: ANN401
    """What RecBole spawns once a process; being here, it brings the plugin into the process.

    Args:
        rank: number of the process on this machine.
        args: model, dataset, config_file_list and a dict of further arguments.
    """
    from recbole.quick_start import run_recbole

    import recbole_longinterest  # noqa: F401 - registers

    *places, kwargs = args
    if not isinstance(kwargs, MutableMapping):
        raise ValueError(f"The last argument of run_recboles should be a dict, but got {type(kwargs)}")
    kwargs["config_dict"] = {**(kwargs.get("config_dict") or {}), "local_rank": rank}
    try:
        run_recbole(*places[:3], **kwargs)
    finally:
        if dist.is_initialized():  # after an error the other ranks must not wait for this one
            dist.destroy_process_group()


def plugin_in_processes() -> None:
    """``run(nproc=2)`` spawns a function of RecBole, whose process never imports the plugin (as #489, #1975)."""

    def install(module: ModuleType) -> None:
        module.run_recboles = run_recboles  # type: ignore[attr-defined]

    for name in QUICK_START:
        after_import(name, install)


def evaluated_rows() -> None:
    """``Trainer.evaluate`` adds the length of a tuple, 4, per batch as its sample count (no upstream issue known).

    ``_map_reduce`` weighs the ranks by it, so a short last batch counts as much as a full one. Here the rows that
    were scored are counted where they are collected.
    """
    collect = Collector.eval_batch_collect
    map_reduce = Trainer._map_reduce

    def eval_batch_collect(self: Collector, scores_tensor: torch.Tensor, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        self.rows_collected = getattr(self, "rows_collected", 0) + len(scores_tensor)
        collect(self, scores_tensor, *args, **kwargs)

    def _map_reduce(self: Trainer, result: dict[str, Any], num_sample: int) -> dict[str, float]:
        rows = vars(self.eval_collector).pop("rows_collected", num_sample)
        return map_reduce(self, result, rows)

    Collector.eval_batch_collect = eval_batch_collect
    Trainer._map_reduce = _map_reduce
