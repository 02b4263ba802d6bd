"""Connect the processes of a run, on the loopback interface only, unless other machines take part."""

import os
import socket
from datetime import timedelta

import torch.distributed as dist

LOCAL = ("localhost", "127.0.0.1", "::1")
LOOPBACK = ("lo", "lo0")  # its name on Linux and macOS
# The other ranks wait while one encodes a catalogue's texts. If a rank dies, the others get an error at once.
TIMEOUT = timedelta(days=1)


def join_group(backend: str, rank: int, world_size: int, ip: str, port: int, this_machine_alone: bool) -> None:
    """Join the process group of a run; returns when all processes have joined.

    By default, torch's store listens on all interfaces, and gloo on the interface of the host name. If no other machine
    takes part, both listen on 127.0.0.1, so that other machines cannot reach them.

    Args:
        backend: ``"gloo"`` or ``"nccl"``.
        rank: rank of this process, from 0.
        world_size: number of processes.
        ip: address of the first process.
        port: port of the first process.
        this_machine_alone: whether all processes run on this machine.
    """
    if not this_machine_alone or ip not in LOCAL:
        dist.init_process_group(
            backend, init_method=f"tcp://{ip}:{port}", rank=rank, world_size=world_size, timeout=TIMEOUT
        )
        return
    loopback = next((name for _, name in socket.if_nameindex() if name in LOOPBACK), None)
    if loopback is not None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", loopback)
    # Give the store a socket, because it would open one on all interfaces.
    listener = socket.create_server(("127.0.0.1", port)).detach() if rank == 0 else None
    store = dist.TCPStore(
        "127.0.0.1", port, world_size, is_master=rank == 0, timeout=TIMEOUT, master_listen_fd=listener
    )
    dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=TIMEOUT)
