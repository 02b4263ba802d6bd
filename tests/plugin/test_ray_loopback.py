"""Nothing that a local Ray of ours starts listens where another machine reaches it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from recbole_longinterest.plugin.ray_loopback import loopback_only
from tests.listening import is_loopback, listening

needs_proc = pytest.mark.skipif(not Path("/proc/net/tcp").is_file(), reason="reads /proc/net/tcp")

SCRIPT = """
import os
import sys

import ray

sys.path.insert(0, {project!r})
from tests.listening import is_loopback, listening

ray.init(num_cpus=1, log_to_driver=False)


@ray.remote
def work():
    return os.getpid()


ray.get(work.remote())
found = listening(os.getpid())
print("LISTENING", len(found), sorted(name for (name, _), address in found.items() if not is_loopback(address)))
"""


@needs_proc
def test_what_listens_is_found() -> None:
    with socket.socket() as everywhere, socket.socket() as here, socket.socket(socket.AF_INET6) as mapped:
        everywhere.bind(("0.0.0.0", 0))
        here.bind(("127.0.0.1", 0))
        mapped.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        mapped.bind(("::ffff:127.0.0.1", 0))
        for each in (everywhere, here, mapped):
            each.listen()
        ports = [each.getsockname()[1] for each in (everywhere, here, mapped)]
        found = {port: is_loopback(address) for (_, port), address in listening(os.getpid()).items()}
    assert [found[port] for port in ports] == [False, True, True]


def test_rays_own_settings_come_back() -> None:
    from ray._private import ray_constants, utils

    before = ray_constants.ENABLE_RAY_CLUSTER, utils.get_dashboard_dependency_error
    with loopback_only():
        assert not ray_constants.ENABLE_RAY_CLUSTER and utils.get_dashboard_dependency_error() is not None
    assert (ray_constants.ENABLE_RAY_CLUSTER, utils.get_dashboard_dependency_error) == before
    with loopback_only(agent=True):
        assert utils.get_dashboard_dependency_error is before[1]


@needs_proc
@pytest.mark.slow
@pytest.mark.usefixtures("one_ray")
def test_a_search_listens_on_the_loopback_alone() -> None:
    import ray

    ray.get(ray.remote(lambda: os.getpid()).remote())  # a worker, too
    found = listening(os.getpid())
    assert {"gcs_server", "raylet"} <= {name for name, _ in found}
    assert [name for name, address in found.items() if not is_loopback(address)] == []


@needs_proc
@pytest.mark.slow
def test_a_script_of_recbole_listens_on_the_loopback_alone(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.format(project=str(Path(__file__).parents[2])))
    command = [sys.executable, "-m", "recbole_longinterest", "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "RAY_ADDRESS": ""})
    said = next((line for line in done.stdout.splitlines() if line.startswith("LISTENING")), done.stderr[-2000:])
    assert said.endswith("[]") and int(said.split()[1]) >= 4, said
