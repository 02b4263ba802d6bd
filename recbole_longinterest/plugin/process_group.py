"""Connect the processes of a run, on the loopback interface only, unless other machines take part."""

import os
import socket
from datetime import timedelta

import torch.distributed as dist

LOCAL = ("localhost", "127.0.0.1", "::1")
LOOPBACK = ("lo", "lo0")  # its name on Linux and macOS
# The other ranks wait while one encodes a catalogue's texts. If a rank dies, the others get an error at once.
TIMEOUT = timedelta(days=1)

_own_address: str | None = None  # address of this process on a cluster


def place_process(address: str) -> None:
    """Record that a cluster runs this process, so that it uses its own GPU and listens only on its own address.

    Args:
        address: IP address at which the other processes reach this machine.
    """
    global _own_address
    _own_address = address


def is_placed() -> bool:
    """Whether a cluster runs this process; then it sees no GPU but its own."""
    return _own_address is not None


def join_group(backend: str, rank: int, world_size: int, ip: str, port: int, this_machine_alone: bool) -> None:
    """Join the process group of a run; returns when all processes have joined.

    By default, torch's store listens on all interfaces, and gloo on the interface of the host name. If no other machine
    takes part, both listen on 127.0.0.1, so that other machines cannot reach them. On a cluster, a process listens on
    its own address only (:func:`place_process`).

    Args:
        backend: ``"gloo"`` or ``"nccl"``.
        rank: rank of this process, from 0.
        world_size: number of processes.
        ip: address of the first process.
        port: port of the first process.
        this_machine_alone: whether all processes run on this machine.
    """
    own = _own_address
    if own is None and this_machine_alone and ip in LOCAL:
        own = ip = "127.0.0.1"
    if own is None:
        dist.init_process_group(
            backend, init_method=f"tcp://{ip}:{port}", rank=rank, world_size=world_size, timeout=TIMEOUT
        )
        return
    interface = _interface(own)
    if interface is not None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", interface)
    # Give the store a socket, because it would open one on all interfaces.
    family = socket.AF_INET6 if ":" in own else socket.AF_INET
    listener = socket.create_server((own, port), family=family).detach() if rank == 0 else None
    store = dist.TCPStore(ip, port, world_size, is_master=rank == 0, timeout=TIMEOUT, master_listen_fd=listener)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=TIMEOUT)


def _interface(address: str) -> str | None:
    """Name of the interface that has an address; None if it is not found."""
    if address in LOCAL:
        return next((name for _, name in socket.if_nameindex() if name in LOOPBACK), None)
    import psutil  # late: only processes of a cluster need it

    for name, places in psutil.net_if_addrs().items():
        if any(place.address.partition("%")[0] == address for place in places):
            return str(name)
    return None
