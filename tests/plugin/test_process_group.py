"""The processes of a run meet where no other machine reaches them."""

import os
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from recbole_longinterest.plugin.process_group import join_group
from tests.listening import is_loopback, listening


def meet(rank: int, port: int, alone: bool, queue: Any) -> None:
    join_group("gloo", rank, 2, "localhost", port, this_machine_alone=alone)
    total = torch.tensor([rank + 1])
    dist.all_reduce(total)
    queue.put((int(total), sorted(str(address) for address in listening(os.getpid()).values()) if alone else []))
    dist.barrier()
    dist.destroy_process_group()


def met(alone: bool) -> list[tuple[int, list[str]]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    queue = mp.get_context("spawn").SimpleQueue()
    mp.spawn(meet, (port, alone, queue), nprocs=2)
    return [queue.get(), queue.get()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/tcp").is_file(), reason="reads /proc/net/tcp")
def test_processes_of_one_machine_listen_on_the_loopback_alone() -> None:
    found = met(alone=True)
    assert [total for total, _ in found] == [3, 3]
    addresses = [ip_address(address) for _, each in found for address in each]
    assert len(addresses) >= 3, "the store, and gloo's pair of each process"
    assert all(is_loopback(address) for address in addresses), addresses


@pytest.mark.slow
def test_processes_meet_as_before_where_other_machines_take_part() -> None:
    assert [total for total, _ in met(alone=False)] == [3, 3]
