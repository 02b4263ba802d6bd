"""Communication between the ranks (processes) of a distributed run."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import torch
import torch.distributed as dist

from recbole_longinterest.common.files import file_hash, write_bytes

if TYPE_CHECKING:
    from recbole.config.configurator import Config

Value = TypeVar("Value")


def from_first_rank(config: "Config", value: str) -> str:
    """Broadcast rank 0's value to every rank of a distributed run; a single process gets its own value."""
    if config["single_spec"] or not dist.is_initialized():
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0, device=_group_device(config))
    return values[0]


def from_all_ranks(config: "Config", value: Value) -> list[Value]:
    """Gather every rank's value, ordered by rank, on every rank; a single process is the only rank."""
    if config["single_spec"] or not dist.is_initialized():
        return [value]
    values: list[Value | None] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return cast(list[Value], values)


def wait_for_all(config: "Config") -> None:
    """Wait until every rank of a distributed run has called this."""
    if not config["single_spec"] and dist.is_initialized():
        dist.barrier()


def share_file(config: "Config", path: Path) -> None:
    """Give every rank of a distributed run the first rank's file: machines need not have a folder in common.

    Args:
        config: config of the run.
        path: path of the file on this rank. Nothing is sent if all ranks share one file.
    """
    if config["single_spec"] or not dist.is_initialized():
        return
    dist.barrier()  # the first rank may still be writing
    own = file_hash(path) if path.is_file() else ""
    hashes = from_all_ranks(config, own)
    if len(set(hashes)) == 1:
        return
    content: list[bytes | None] = [path.read_bytes() if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(content, src=0, device=_group_device(config))
    if own != hashes[0] and content[0] is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content[0])


def leave_finished_group(config: "Config") -> None:
    """Make the config of a distributed run, read from a checkpoint, usable in a single process."""
    if not config["single_spec"] and not dist.is_initialized():
        config["single_spec"] = True


def _group_device(config: "Config") -> torch.device | None:
    return config["device"] if dist.get_backend() == "nccl" else None


def even_step(rows: int, ranks: int, step: int) -> int:
    """Smallest batch size from ``step`` on with which all ranks have the same number of batches.

    Args:
        rows: rows to share; the ranks' shares differ by at most one.
        ranks: number of ranks.
        step: minimum batch size.
    """
    fewest, most = rows // ranks, -(-rows // ranks)
    while fewest and -(-fewest // step) != -(-most // step):
        step += 1
    return step
