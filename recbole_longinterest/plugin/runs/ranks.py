"""How the processes of one distributed run, its ranks, agree with each other."""

from typing import TYPE_CHECKING, TypeVar, cast

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from recbole.config.configurator import Config

Value = TypeVar("Value")


def from_first_rank(config: "Config", value: str) -> str:
    """Rank 0's value on every rank of a distributed run; in a single process the value itself."""
    if config["single_spec"] or not dist.is_initialized():
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0, device=_group_device(config))
    return values[0]


def from_all_ranks(config: "Config", value: Value) -> list[Value]:
    """Every rank's value, in their order, on every rank; a single process is the only rank."""
    if config["single_spec"] or not dist.is_initialized():
        return [value]
    values: list[Value | None] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return cast(list[Value], values)


def wait_for_all(config: "Config") -> None:
    """Wait until every rank of a distributed run is here."""
    if not config["single_spec"] and dist.is_initialized():
        dist.barrier()


def leave_finished_group(config: "Config") -> None:
    """Let a config of a distributed run, read from its checkpoint, serve in a single process."""
    if not config["single_spec"] and not dist.is_initialized():
        config["single_spec"] = True


def _group_device(config: "Config") -> torch.device | None:
    return config["device"] if dist.get_backend() == "nccl" else None


def even_step(rows: int, ranks: int, step: int) -> int:
    """The batch size, at least ``step``, by which ranks that differ by one row have the same number of batches."""
    fewest, most = rows // ranks, -(-rows // ranks)
    while fewest and -(-fewest // step) != -(-most // step):
        step += 1
    return step
