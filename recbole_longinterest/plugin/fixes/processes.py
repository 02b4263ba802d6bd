"""Patches for RecBole's ``nproc``: training without GPUs, and the same evaluation results as in one process."""

import copy
import functools
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.plugin.fixes import config as config_patches  # noqa: F401 - its patch of _init_device comes first
from recbole_longinterest.plugin.fixes.registry import patch
from recbole_longinterest.plugin.process_group import is_placed, join_group
from recbole_longinterest.plugin.runs.ranks import even_step, from_all_ranks

if TYPE_CHECKING:
    from recbole.config.configurator import Config
    from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
    from recbole.data.dataset import Dataset
    from recbole.evaluator import Collector
    from recbole.evaluator.collector import DataStruct
    from recbole.trainer.trainer import AbstractTrainer, Trainer

COLLECTED = ("rec.topk", "rec.meanrank", "rec.score", "rec.items", "data.label")  # a Collector's data from batches

# Without GPUs the processes communicate through gloo and train on the CPU. With GPUs they use NCCL, as in RecBole, but
# with gloo's longer timeout, because NCCL's is ten minutes.
without_gpu = functools.partial(patch, name="processes_without_gpu", kind="fix")


@without_gpu(
    "recbole.config.configurator:Config._init_device",
    after="visible_gpus",
    why="nproc works only with GPUs, and every process starts its own W&B run.",
    wraps=True,
)
def init_device(original: Callable[["Config"], None]) -> Callable[["Config"], None]:
    """Connect to the other processes through NCCL with GPUs, or gloo without."""

    def _init_device(self: "Config") -> None:
        settings = self.final_config_dict
        rank = settings.get("local_rank")
        if rank:
            settings["log_wandb"] = False  # one run, not one per process
        if rank is None:
            original(self)
            return
        del settings["local_rank"]
        original(self)  # as for a single process: it makes the GPUs visible before torch looks for them
        gpu, names = settings["device"].type == "cuda", settings["gpu_id"].split(",")
        own_gpu = is_placed()  # on a cluster, the only GPU that this process sees
        if gpu and not own_gpu and len(names) < settings["nproc"]:
            raise LongInterestError(
                f"nproc needs a GPU per process; got nproc={settings['nproc']} and gpu_id={settings['gpu_id']}."
            )
        join_group(
            "nccl" if gpu else "gloo",
            rank=rank + settings["offset"],
            world_size=settings["world_size"],
            ip=settings["ip"],
            port=settings["port"],
            this_machine_alone=settings["world_size"] == settings["nproc"],
        )
        if gpu:
            settings["device"] = torch.device("cuda", 0 if own_gpu else rank)
            torch.cuda.set_device(settings["device"].index)
        settings["local_rank"] = rank
        settings["single_spec"] = False
        if rank != 0:
            settings.update(state="error", show_progress=False, verbose=False)

    return _init_device


@without_gpu(
    "recbole.trainer.trainer:AbstractTrainer.__init__",
    why="With nproc, RecBole uses SyncBatchNorm and GPU ids, which fail on a CPU.",
    wraps=True,
)
def init_trainer(original: Callable[..., None]) -> Callable[..., None]:
    """On a CPU, distribute the model without SyncBatchNorm and device ids; on a cluster, a worker has one GPU."""

    def __init__(self: "AbstractTrainer", config: "Config", model: torch.nn.Module) -> None:
        gpu = config["device"].type == "cuda"
        if config["single_spec"] or (gpu and not is_placed()):
            original(self, config, model)
            return
        self.config = config
        self.model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(model) if gpu else model
        self.distributed_model = DistributedDataParallel(self.model, device_ids=[0] if gpu else None)

    return __init__


@without_gpu(
    "recbole.data.dataset.dataset:Dataset._download",
    why="After a download, RecBole waits for other processes, which raises an error in a single process.",
    wraps=True,
)
def download(original: Callable[["Dataset"], None]) -> Callable[["Dataset"], None]:
    """Skip the barrier in a single process."""

    def _download(self: "Dataset") -> None:
        try:
            original(self)
        except ValueError as error:  # from the barrier, RecBole's last step
            if dist.is_initialized() or "process group" not in str(error):
                raise

    return _download


@patch(
    "recbole.quick_start.quick_start:run_recboles",
    name="plugin_in_processes",
    kind="fix",
    issue=(489, 1975),
    why="run(nproc=2) starts processes that never import the plugin, so its models and patches are missing there.",
)
def run_recboles(rank: int, *args: Any) -> None:
    """The function that RecBole spawns in each process. Unpickling it imports the plugin there.

    Args:
        rank: number of the process on this machine.
        args: model, dataset, config_file_list and a dict of further arguments.

    Raises:
        LongInterestError: if the last argument is not a dict.
    """
    from recbole.quick_start import run_recbole  # late: it imports ray

    *places, kwargs = args
    if not isinstance(kwargs, MutableMapping):
        raise LongInterestError(f"The last argument of run_recboles should be a dict, but got {type(kwargs)}")
    kwargs["config_dict"] = {**(kwargs.get("config_dict") or {}), "local_rank": rank}
    try:
        run_recbole(*places[:3], **kwargs)
    finally:
        if dist.is_initialized():  # after an error the other ranks must not wait for this one
            dist.destroy_process_group()


# Each row is scored by exactly one rank, and all ranks evaluate the combined results, as a single process does.
whole_evaluation = functools.partial(patch, name="whole_evaluation", kind="fix", issue=(2131, 2191, 2194))


@whole_evaluation(
    "recbole.data.dataloader.general_dataloader:FullSortEvalDataLoader.__init__",
    "recbole.data.dataloader.general_dataloader:NegSampleEvalDataLoader.__init__",
    why="With nproc, RecBole repeats some evaluation rows so that all processes have equally many, and counts them "
    "twice.",
    wraps=True,
)
def without_padding(make: Callable[..., None]) -> Callable[..., None]:
    """Make an evaluation loader split its rows over the ranks, with the same number of batches on each."""

    @functools.wraps(make)
    def __init__(self: "AbstractDataLoader", config: "Config", *args: object, **kwargs: object) -> None:
        make(self, config, *args, **kwargs)
        if config["single_spec"]:
            return
        ranks = dist.get_world_size()
        self.batch_sampler.sampler = range(self.sample_size)[dist.get_rank() :: ranks]
        self.batch_sampler.batch_size = even_step(self.sample_size, ranks, self.batch_sampler.batch_size)

    return __init__


@whole_evaluation(
    "recbole.evaluator.collector:Collector.get_data_struct",
    why="Coverage, Gini, popularity and tail metrics fail with an AttributeError, because item counts are not tensors.",
)
def get_data_struct(self: "Collector") -> "DataStruct":
    """Combine the data that all ranks have collected.

    Returns:
        RecBole's struct, for its evaluator.
    """
    own = {name: value.cpu() for name, value in self.data_struct._data_dict.items() if name in COLLECTED}
    ranks = from_all_ranks(self.config, own)
    if len(ranks) > 1:
        for name in {name: None for rank in ranks for name in rank}:
            self.data_struct.set(name, torch.cat([rank[name] for rank in ranks if name in rank]))
    kept = self.data_struct._data_dict
    for name, value in kept.items():  # item counts are not tensors
        kept[name] = value.cpu() if isinstance(value, torch.Tensor) else value
    collected = copy.deepcopy(self.data_struct)
    for name in COLLECTED:
        kept.pop(name, None)
    return collected


@whole_evaluation(
    "recbole.trainer.trainer:Trainer._map_reduce",
    why="With nproc, RecBole averages the metrics of the processes with wrong weights. GAUC, coverage and Gini cannot "
    "be averaged at all.",
)
def _map_reduce(self: "Trainer", result: dict[str, Any], num_sample: int) -> dict[str, Any]:
    return result
