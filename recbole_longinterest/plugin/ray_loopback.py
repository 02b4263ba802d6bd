"""Make a local Ray listen on 127.0.0.1 only."""

import contextlib
from collections.abc import Iterator
from ipaddress import ip_address
from logging import getLogger
from types import ModuleType


@contextlib.contextmanager
def loopback_only(agent: bool = False) -> Iterator[None]:
    """Make a Ray that starts inside listen on 127.0.0.1, as it does by default on macOS and Windows.

    On Linux, Ray listens on all interfaces, and replaces ``_node_ip_address="127.0.0.1"`` by the machine's address.

    Args:
        agent: whether to start the dashboard's agent as usual. Otherwise it starts as without an installed dashboard,
            and opens no port.
    """
    from ray._private import ray_constants, utils  # late: only searches and scripts need ray

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
    """Make a Ray Serve replica in this process listen on 127.0.0.1; call this in the replica's constructor.

    Ray Serve replicas listen on all interfaces for calls from other deployments, which this plugin does not use.
    """
    from ray.serve._private import replica  # late: an extra

    original = getattr(replica, "add_port_to_grpc_server", None)
    if original is not None:
        replica.add_port_to_grpc_server = lambda server, place: original(server, place.replace("[::]", "127.0.0.1"))


def _warn_if_reachable() -> None:
    """Warn if Ray does not listen on the loopback interface, because other Ray versions may choose it differently."""
    import ray

    if not ray.is_initialized():
        return
    address = ray.util.get_node_ip_address()
    if not ip_address(address).is_loopback:
        getLogger().warning(
            f"Ray {ray.__version__} listens at {address}, which other machines may reach. Close its ports with a "
            "firewall, or use a Ray version that this plugin is tested with."
        )
