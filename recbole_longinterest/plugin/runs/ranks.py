"""RecBole's ``nproc`` on a machine without GPU, and one run's processes agreeing with each other."""

import copy
import functools
from collections.abc import Callable, MutableMapping
from datetime import timedelta
from types import ModuleType
from typing import Any

import torch
import torch.distributed as dist
from recbole.config.configurator import Config
from recbole.data.dataloader.general_dataloader import FullSortEvalDataLoader, NegSampleEvalDataLoader
from recbole.data.dataset import Dataset
from recbole.evaluator import Collector
from recbole.evaluator.collector import DataStruct
from recbole.trainer.trainer import AbstractTrainer, Trainer
from torch.nn.parallel import DistributedDataParallel

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.plugin.fixes.hooks import QUICK_START, after_import

# One rank may encode a catalogue's texts while the others wait. Of a rank that dies the others hear at once.
TIMEOUT = timedelta(days=1)
COLLECTED = ("rec.topk", "rec.meanrank", "rec.score", "rec.items", "data.label")  # what a Collector gets from batches


def from_first_rank(config: Config, value: str) -> str:
    """Rank 0's value on every rank of a distributed run; in a single process the value itself."""
    if config["single_spec"] or not dist.is_initialized():
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0, device=_group_device(config))
    return values[0]


def from_all_ranks(config: Config, value: Any) -> list[Any]:  # noqa: ANN401
    """Every rank's value, in their order, on every rank; a single process is the only rank."""
    if config["single_spec"] or not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


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

    Without a GPU the processes meet through gloo and train on the CPU. With GPUs they meet as RecBole's do, and wait
    for each other as long as with gloo, where NCCL gives up after ten minutes. And ``Dataset._download`` waits at a
    barrier that needs a process group, which a single process has not got.
    """
    init_device = Config._init_device
    init_trainer = AbstractTrainer.__init__
    download = Dataset._download

    def _init_device(self: Config) -> None:
        settings = self.final_config_dict
        rank = settings.get("local_rank")
        if rank:
            settings["log_wandb"] = False  # one run, not one a process
        if rank is None:
            init_device(self)
            return
        del settings["local_rank"]
        init_device(self)  # as for a single process: it makes the GPUs visible before torch looks for them
        gpu, names = settings["device"].type == "cuda", settings["gpu_id"].split(",")
        if gpu and len(names) < settings["nproc"]:
            raise LongInterestError(
                f"nproc needs a GPU a process; got nproc={settings['nproc']} and gpu_id={settings['gpu_id']}."
            )
        dist.init_process_group(
            backend="nccl" if gpu else "gloo",
            rank=rank + settings["offset"],
            world_size=settings["world_size"],
            init_method=f"tcp://{settings['ip']}:{settings['port']}",
            timeout=TIMEOUT,
        )
        if gpu:
            settings["device"] = torch.device("cuda", rank)
            torch.cuda.set_device(rank)
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
        raise LongInterestError(f"The last argument of run_recboles should be a dict, but got {type(kwargs)}")
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


def whole_evaluation() -> None:
    """Ranks average their metrics, weighted by the length of a tuple, 4, a batch, and score padded rows twice.

    And an average is wrong for what is no mean over users: GAUC, coverage, Gini (no upstream issue known). Here every
    rank gets its own rows, none twice, and all ranks evaluate what all have collected, as a single process does.

    In one process, too, coverage, Gini, popularity and tail end in an AttributeError: the counts that they read are no
    tensors (#2131, #2191, #2194).
    """
    for loader in (FullSortEvalDataLoader, NegSampleEvalDataLoader):
        loader.__init__ = _without_padding(loader.__init__)

    def get_data_struct(self: Collector) -> DataStruct:
        own = {name: value.cpu() for name, value in self.data_struct._data_dict.items() if name in COLLECTED}
        ranks = from_all_ranks(self.config, own)
        if len(ranks) > 1:
            for name in {name: None for rank in ranks for name in rank}:
                self.data_struct.set(name, torch.cat([rank[name] for rank in ranks if name in rank]))
        kept = self.data_struct._data_dict
        for name, value in kept.items():  # counts of items are no tensors (#2131, #2191)
            kept[name] = value.cpu() if isinstance(value, torch.Tensor) else value
        collected = copy.deepcopy(self.data_struct)
        for name in COLLECTED:
            kept.pop(name, None)
        return collected

    def _map_reduce(self: Trainer, result: dict[str, Any], num_sample: int) -> dict[str, Any]:
        return result

    Collector.get_data_struct = get_data_struct
    Trainer._map_reduce = _map_reduce


def _without_padding(make: Callable[..., None]) -> Callable[..., None]:
    """The constructor of an evaluation loader whose ranks share the rows, in the same number of batches."""

    @functools.wraps(make)
    def __init__(self: Any, config: Config, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        make(self, config, *args, **kwargs)
        if config["single_spec"]:
            return
        ranks = dist.get_world_size()
        self.batch_sampler.sampler = range(self.sample_size)[dist.get_rank() :: ranks]
        self.batch_sampler.batch_size = even_step(self.sample_size, ranks, self.batch_sampler.batch_size)

    return __init__


def even_step(rows: int, ranks: int, step: int) -> int:
    """The batch size, at least ``step``, by which ranks that differ by one row have the same number of batches."""
    fewest, most = rows // ranks, -(-rows // ranks)
    while fewest and -(-fewest // step) != -(-most // step):
        step += 1
    return step
