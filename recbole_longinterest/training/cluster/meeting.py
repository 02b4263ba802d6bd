"""Connect the workers of Ray Train by the plugin's own process group instead of Ray's."""

import socket
from dataclasses import dataclass

import ray
import torch.distributed as dist
from ray.exceptions import GetTimeoutError
from ray.train.backend import Backend
from ray.train.torch import TorchConfig

from recbole_longinterest.plugin.process_group import place_process

TO_END = 5.0  # seconds for workers to leave the group before Ray ends them
_met_at: tuple[str, int] | None = None


@dataclass
class MeetingConfig(TorchConfig):
    """Ray's config for torch without Ray's process group, whose store listens on all network interfaces.

    The workers join a group when RecBole's config is made, as the processes of ``--nproc`` do. This backend only
    chooses the address.
    """

    @property
    def backend_cls(self) -> type[Backend]:
        """The backend whose hooks Ray calls."""
        return _Meeting


class _Meeting(Backend):
    share_cuda_visible_devices = False  # each worker sees only its own GPU

    def on_start(self, worker_group: object, backend_config: MeetingConfig) -> None:
        """Choose an address and a free port of the first worker for the process group, and tell all workers."""
        address, port = worker_group.execute_single(0, _free_place)  # type: ignore[attr-defined]
        worker_group.execute(_meet_at, address, port)  # type: ignore[attr-defined]

    def on_shutdown(self, worker_group: object, backend_config: MeetingConfig) -> None:
        """Make the workers leave the group."""
        try:
            ray.get(worker_group.execute_async(_leave), timeout=TO_END)  # type: ignore[attr-defined]
        except GetTimeoutError:
            return


def met_at() -> tuple[str, int]:
    """Address and port of the process group of this run's workers."""
    assert _met_at is not None  # Ray has called on_start
    return _met_at


def _free_place() -> tuple[str, int]:
    address = ray.util.get_node_ip_address()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as free:
        free.bind((address, 0))
        return address, free.getsockname()[1]


def _meet_at(address: str, port: int) -> None:
    global _met_at
    _met_at = address, port
    place_process(ray.util.get_node_ip_address())


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
