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

from recbole_longinterest.plugin import process_group
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


def test_a_placed_process_listens_at_its_own_address_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    met: dict[str, Any] = {}
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(process_group, "_own_address", None)
    monkeypatch.setattr(dist, "TCPStore", lambda *at, **more: met.update(more, at=at))
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **more: met.update(more))
    assert not process_group.is_placed()
    process_group.place_process("127.0.0.1")
    assert process_group.is_placed()
    join_group("gloo", 0, 2, "127.0.0.1", 0, this_machine_alone=False)
    with socket.socket(fileno=met["master_listen_fd"]) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
    assert met["at"] == ("127.0.0.1", 0, 2) and met["is_master"] and met["rank"] == 0
    assert os.environ["GLOO_SOCKET_IFNAME"] in process_group.LOOPBACK
    assert process_group._interface("192.0.2.77") is None
