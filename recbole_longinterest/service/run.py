"""Run the service in one process: socket, uvicorn, and graceful shutdown at Ctrl-C or SIGTERM."""

import contextlib
import gc
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.service.app import create_app
from recbole_longinterest.service.gate import is_loopback
from recbole_longinterest.service.logs import log
from recbole_longinterest.service.models import said_by
from recbole_longinterest.service.options import ServiceOptions
from recbole_longinterest.service.protocol import LimitedProtocol
from recbole_longinterest.service.service import Service
from recbole_longinterest.service.store.errors import StoreLostError
from recbole_longinterest.service.store.store import Store, open_store
from recbole_longinterest.service.versions import Versions
from recbole_longinterest.serving.recommender import Recommender

QUEUE = 2048  # backlog of connections waiting to be accepted
IDLE = 75  # seconds that an idle connection stays open


@dataclass(frozen=True)
class Address:
    """Address on which a service listens.

    Attributes:
        host: host name or IP address.
        port: port; 0 for any free port.
        certificate: PEM file for TLS; None for plain HTTP.
        private_key: PEM file of its private key; None if it is in the same file.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    certificate: Path | None = None
    private_key: Path | None = None


def serve(model: Recommender | Versions, store: str, address: Address, options: ServiceOptions) -> None:
    """Serve until Ctrl-C or SIGTERM; pending requests are answered, and their events stored, before the end.

    Args:
        model: the model to serve; or versions, of which the one active last is served, else the newest.
        store: URL of the store.
        address: address to listen on.
        options: options of the service.

    Raises:
        LongInterestError: if the address, the store, the keys, the certificate or all versions cannot be used, or if
            another service takes the store.
    """
    check_address(address, options)
    with open_store(store) as opened, listening(address) as listener:
        run_server(model, opened, listener, address, options, lambda service: say_listening(listener, address, service))
    log("stopped")


def run_server(
    model: Recommender | Versions,
    store: Store,
    listener: socket.socket,
    address: Address,
    options: ServiceOptions,
    ready: Callable[[Service], object],
) -> None:
    """Serve on a socket until Ctrl-C or SIGTERM.

    Args:
        model: see :func:`serve`.
        store: an open store.
        listener: a socket from :func:`listening`.
        address: address with the TLS files.
        options: options of the service.
        ready: called right before requests are answered.

    Raises:
        LongInterestError: see :func:`serve`.
    """
    lost: list[bool] = []

    def end() -> None:
        lost.append(True)
        server.should_exit = True

    service = started_service(model, store, options, end)
    config = uvicorn.Config(
        create_app(service),
        http=LimitedProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=int(options.timeout) + 1,
        ssl_certfile=address.certificate,
        ssl_keyfile=address.private_key,
    )
    server = uvicorn.Server(config)
    gc.collect()
    gc.freeze()  # the model is permanent: garbage collection can skip it
    ready(service)
    with contextlib.suppress(KeyboardInterrupt):  # raised again by uvicorn after a graceful shutdown
        server.run(sockets=[listener])
    if lost:
        raise StoreLostError("Another service has taken the store, so this one has stopped. See the log for the time.")


def started_service(
    model: Recommender | Versions, store: Store, options: ServiceOptions, lost: Callable[[], None]
) -> Service:
    """Create the service for a model, or for the version that was active last.

    Args:
        model: see :func:`serve`.
        store: an open store.
        options: options of the service.
        lost: called when another service has taken the store.

    Raises:
        LongInterestError: if no version can be used, or the rules cannot be used.
    """
    if isinstance(model, Recommender):
        return Service(model, store, options, lost=lost)
    said = said_by(store)
    version, first = model.first([said[name] for name in ("version", "previous") if said.get(name)])
    return Service(first, store, options, versions=model, version=version, lost=lost)


def say_listening(listener: socket.socket, address: Address, service: Service, workers: int = 1) -> None:
    """Log the address of the service."""
    host, port = listener.getsockname()[:2]
    if not is_loopback(host) and address.certificate is None:
        log("warning", detail="API keys and events are sent unencrypted: give --tls-cert, or use a TLS proxy")
    scheme = "http" if address.certificate is None else "https"
    shown = f"[{host}]" if ":" in host else host
    model = service.model
    url = f"{scheme}://{shown}:{port}"
    log("listening", url=url, items=model.n_items, model=model.fingerprint, workers=workers)


def check_address(address: Address, options: ServiceOptions) -> None:
    """Check the address: a service without keys must listen only on loopback, and the TLS files must be valid.

    Raises:
        LongInterestError: for an address or TLS files that cannot be used.
    """
    if options.keys is None and not _all_loopback(address.host):
        raise LongInterestError(
            f"Without API keys the service must listen only on this machine; got --host {address.host}. Give --keys "
            "FILE, made with --add-key NAME:read,write."
        )
    if not 0 <= address.port < 2**16:
        raise LongInterestError(f"--port must be from 0 (any free port) to 65535; got {address.port}.")
    if address.private_key is not None and address.certificate is None:
        raise LongInterestError("--tls-key needs --tls-cert, the certificate that it belongs to.")
    if address.certificate is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(address.certificate, address.private_key)
        except OSError as error:  # includes SSLError
            raise LongInterestError(
                f"The certificate {address.certificate} and its key cannot be used: {error.strerror or error}. "
                "Both are PEM files, the key without a password."
            ) from error


def _all_loopback(host: str) -> bool:
    """Whether a host has only loopback addresses."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise LongInterestError(f"--host {host} is not an address of this machine: {error.strerror}.") from error
    return all(is_loopback(str(place[4][0])) for place in found)


@contextlib.contextmanager
def listening(address: Address) -> Iterator[socket.socket]:
    """Open a listening socket; it is closed at the end.

    Args:
        address: address to listen on.

    Raises:
        LongInterestError: if the address cannot be used.
    """
    family, kind, _, _, place = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(place)
            listener.listen(QUEUE)
        except OSError as error:
            raise LongInterestError(
                f"Cannot listen on {address.host}, port {address.port}: {error.strerror}. Give another --port."
            ) from error
        listener.setblocking(False)
        yield listener
