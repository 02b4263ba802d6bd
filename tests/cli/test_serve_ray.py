"""`recbole-li serve --ray`: two replicas, one of which is killed under load."""

import contextlib
import os
import signal
import socket
from pathlib import Path

import pytest

from recbole_longinterest.cli.serve_ray import replica_range
from recbole_longinterest.serving.model_folder import write_folder
from recbole_longinterest.serving.recommender import Recommender
from tests.listening import is_loopback, listening
from tests.service.conftest import postgres, timed_served  # noqa: F401 - a fixture
from tests.service.load import RetryingLoad, run_loads, wait_until
from tests.service.process import Server

PATIENCE = {  # Ray's own is too short for a busy machine
    "RAY_raylet_start_wait_time_s": "400",
    "RAY_agent_register_timeout_ms": "400000",
    "RAY_worker_register_timeout_seconds": "400",
    "RAY_worker_niceness": "0",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "300",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "300",
}
REPLICA = "ServeReplica"  # Ray names a replica's process so


def test_ranges_of_replicas() -> None:
    assert replica_range("3") == (3, 3) and replica_range("2-8") == (2, 8)
    for text in ("0", "4-2", "", "a", "1-2-3"):
        with pytest.raises(ValueError, match="--replicas must be MIN-MAX, as 1-4, or one number; got "):
            replica_range(text)


def replicas_below(parent: int) -> list[int]:
    """Processes of replicas that a process has started, or its children."""
    import psutil

    found = []
    for child in psutil.Process(parent).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            command = child.cmdline()
            if command and REPLICA in command[0]:
                found.append(child.pid)
    return found


@pytest.mark.slow
def test_a_killed_replica_loses_nothing(
    tmp_path: Path,
    postgres: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("ray.serve", reason="Ray Serve is not installed: pip install 'ray[serve]'")
    for name, value in PATIENCE.items():
        monkeypatch.setenv(name, value)
    write_folder(timed_served(), tmp_path / "model")
    model = Recommender.load(tmp_path / "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = postgres.format("postgres")
    ray = ("--ray", "--replicas", "2", "--replica-cpus", "0.1", "--timeout", "60")
    with Server(tmp_path / "model", "--store", store, "--port", str(port), *ray, patience=900) as server:
        assert server.url == f"http://127.0.0.1:{port}"
        wait_until(lambda: len(replicas_below(server.process.pid)) == 2)
        found = {name: place for (name, at), place in listening(server.process.pid).items() if not is_loopback(place)}
        assert found == {}

        def meanwhile(loads: list[RetryingLoad]) -> None:
            wait_until(lambda: all(load.checked > 5 for load in loads))
            before = replicas_below(server.process.pid)
            os.kill(before[0], signal.SIGKILL)
            wait_until(lambda: len(set(replicas_below(server.process.pid)) - {before[0]}) == 2)
            after = [load.checked for load in loads]
            wait_until(lambda: all(load.checked > n + 5 for load, n in zip(loads, after, strict=True)))

        assert run_loads(server.url, model, 2, meanwhile) > 30
        assert server.end() == 0
