"""A Ray of this machine alone: whatever it starts listens on 127.0.0.1."""

import contextlib
from collections.abc import Iterator
from ipaddress import ip_address
from logging import getLogger
from types import ModuleType


@contextlib.contextmanager
def loopback_only(agent: bool = False) -> Iterator[None]:
    """Let a Ray that starts inside listen on 127.0.0.1, as Ray itself does on macOS and Windows.

    On Linux it listens on all interfaces, and replaces ``_node_ip_address="127.0.0.1"`` by the machine's address.

    Args:
        agent: start the agent of the dashboard as usual. Else it starts in the form for an installation without
            dashboard, which listens on nothing.
    """
    from ray._private import ray_constants, utils  # late: ray is for searches and scripts alone

    changes: list[tuple[ModuleType, str, object]] = [(ray_constants, "ENABLE_RAY_CLUSTER", False)]
    if not agent:
        changes.append((utils, "get_dashboard_dependency_error", lambda: ImportError("no dashboard is wanted")))
    before = [(module, name, getattr(module, name)) for module, name, _ in changes if hasattr(module, name)]
    for module, name, value in changes:
        if hasattr(module, name):
            setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
    _warn_if_reachable()


def replica_on_loopback() -> None:
    """Let a replica of Ray Serve in this process listen on 127.0.0.1; call it where the replica makes its application.

    Ray Serve lets each replica listen on all interfaces for calls from other deployments, of which there are none here.
    """
    from ray.serve._private import replica  # late: an extra

    original = getattr(replica, "add_port_to_grpc_server", None)
    if original is not None:
        replica.add_port_to_grpc_server = lambda server, place: original(server, place.replace("[::]", "127.0.0.1"))


def _warn_if_reachable() -> None:
    """Say where Ray listens if it is not the loopback: it may come to be bound in another way."""
    import ray

    if not ray.is_initialized():
        return
    address = ray.util.get_node_ip_address()
    if not ip_address(address).is_loopback:
        getLogger().warning(
            f"Ray {ray.__version__} listens at {address}, which other machines may reach. Close its ports by a "
            "firewall, or use a Ray for which this plugin is tested."
        )
