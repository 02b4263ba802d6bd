"""Serve on Ray Serve: replicas on one or more machines, scaled with the load, with one store in PostgreSQL."""

import importlib
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.packages import MissingPackage
from recbole_longinterest.plugin.ray_loopback import replica_on_loopback
from recbole_longinterest.service.logs import log
from recbole_longinterest.service.replica import replica_app
from recbole_longinterest.service.run import Address, check_address, listening
from recbole_longinterest.service.store.database import is_server
from recbole_longinterest.service.store.store import open_store
from recbole_longinterest.service.workers import WorkerSetup

NAME = "recbole-li"  # name of the application in Ray Serve
ONGOING = 8  # more requests in progress per replica than this start another replica


def serve_on_ray(setup: WorkerSetup, replicas: str, cpus: float, address: str | None) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        setup: setup of the replicas; the model's folder must have the same path on every machine.
        replicas: minimum and maximum number of replicas, as ``"1-4"``; or one number.
        cpus: CPU cores that Ray reserves for a replica.
        address: address of a running Ray; None starts one on this machine, which listens only on 127.0.0.1.

    Raises:
        LongInterestError: if the store is not a database server, and for the reasons of
            :func:`recbole_longinterest.service.run.serve`.
    """
    fewest, most = replica_range(replicas)
    check_address(setup.address, setup.options)
    if not is_server(setup.store):
        raise LongInterestError(
            "Replicas on Ray share a store in PostgreSQL: give --store postgresql+psycopg://USER:PASSWORD@HOST/DATABASE."
        )
    from recbole_longinterest.plugin.ray_session import ray_session  # imports ray, with its settings

    serve = _ray_serve()
    with open_store(setup.store, shared=True):
        pass  # migrates the tables once, and raises errors of the store here
    with listening(setup.address) as listener:  # checks that the port is free, and chooses one for port 0
        setup = replace(setup, address=replace(setup.address, port=listener.getsockname()[1]))
    with _until_signal() as wait, ray_session(address):
        from ray.exceptions import RayError

        try:
            serve.start(proxy_location="EveryNode", http_options=_http(setup.address))
            serve.run(_application(serve, setup, fewest, most, cpus, address is None), name=NAME, route_prefix="/")
            scheme = "http" if setup.address.certificate is None else "https"
            log("listening", url=f"{scheme}://{setup.address.host}:{setup.address.port}", replicas=replicas)
            wait()
        except (RayError, RuntimeError) as error:  # raised for proxies and replicas that do not start
            raise LongInterestError(f"Ray Serve has ended: {' '.join(str(error).split())}") from error
        finally:
            if address is None:
                serve.shutdown()
            else:  # keep other applications on this cluster
                serve.delete(NAME)
    log("stopped")


def replica_range(text: str) -> tuple[int, int]:
    """Parse the minimum and maximum number of replicas.

    Raises:
        LongInterestError: if the text has another form.
    """
    found = re.fullmatch(r"([1-9]\d{0,3})(?:-([1-9]\d{0,3}))?", text)
    fewest, most = (int(found[1]), int(found[2] or found[1])) if found else (2, 1)
    if fewest > most:
        raise LongInterestError(f"--replicas must be MIN-MAX, as 1-4, or one number; got {text!r}.")
    return fewest, most


def _application(
    serve: Any,  # noqa: ANN401
    setup: WorkerSetup,
    fewest: int,
    most: int,
    cpus: float,
    here: bool,
) -> Any:  # noqa: ANN401 - Ray's
    def build() -> Any:  # noqa: ANN401 - runs in a replica
        if here:
            replica_on_loopback()
        return replica_app(setup)

    deployment = serve.deployment(
        serve.ingress(build)(),
        name=NAME,
        autoscaling_config={"min_replicas": fewest, "max_replicas": most, "target_ongoing_requests": ONGOING},
        max_ongoing_requests=setup.options.max_requests,
        ray_actor_options={"num_cpus": cpus},
        graceful_shutdown_timeout_s=setup.options.timeout + 5,
        health_check_period_s=5,
    )
    return deployment.bind()


def _http(address: Address) -> dict[str, Any]:
    return {
        "host": address.host,
        "port": address.port,
        "ssl_certfile": None if address.certificate is None else str(address.certificate),
        "ssl_keyfile": None if address.private_key is None else str(address.private_key),
    }


def _ray_serve() -> Any:  # noqa: ANN401 - a module without types
    try:
        return importlib.import_module("ray.serve")
    except ImportError as error:
        raise MissingPackage(
            "recbole-li serve --ray needs Ray Serve, which is not installed: pip install 'recbole-longinterest[ray]'"
        ) from error


@contextmanager
def _until_signal() -> Iterator[Callable[[], None]]:
    """Give a function that waits for Ctrl-C or SIGTERM."""
    came = threading.Event()
    before = {number: signal.signal(number, lambda *_: came.set()) for number in (signal.SIGINT, signal.SIGTERM)}

    def wait() -> None:
        while not came.wait(0.5):  # wakes up often, so that signal handlers can run
            pass

    try:
        yield wait
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
