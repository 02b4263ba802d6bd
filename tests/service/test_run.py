"""The service as a process: it drains at a signal, and loses nothing that it acknowledged when it is killed."""

import random
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from recbole_longinterest.service.options import ServiceOptions
from recbole_longinterest.service.run import Address, check_address, listening
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.model_folder import write_folder
from recbole_longinterest.serving.recommender import Recommender
from tests.service.conftest import START, timed_served
from tests.service.process import Server, events_in


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "model"
    write_folder(timed_served(), folder)
    return folder


def read_head(place: tuple[str, int], sent: bytes, wait: float = 30.0) -> bytes:
    """What a server answers to bytes before it closes the connection."""
    with socket.create_connection(place, timeout=wait) as connection:
        got = b""
        try:
            connection.sendall(sent)
            while part := connection.recv(65536):
                got += part
        except ConnectionError:
            pass
        return got


@pytest.mark.slow
def test_it_serves_drains_and_goes_on_where_it_was(folder: Path, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'e'}"
    event = {"user": "u", "item": "i1", "time": START}
    with Server(folder, "--store", store) as server:
        host, port = server.url.removeprefix("http://").split(":")
        assert host == "127.0.0.1"
        assert httpx.get(f"{server.url}/readyz").json() == {"status": "ready"}
        assert httpx.post(f"{server.url}/v1/events", json=event).json()["accepted"] == 1
        head = read_head((host, int(port)), b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000)
        assert head.startswith(b"HTTP/1.1 431 ")
        kept = httpx.Client()  # a connection that stays open does not hold it up
        assert kept.get(f"{server.url}/healthz", headers={"X": "a" * 8000}).status_code == 200
        with socket.create_connection((host, int(port)), timeout=30) as slow:  # half a request, which it waits for
            body = b'{"user": "u", "item": "i2", "time": 1500000001}'
            slow.sendall(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
            slow.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body[:10])
            time.sleep(0.5)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            slow.sendall(body[10:])
            assert slow.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(60) == 0 and server.end_of_log()[-1]["event"] == "stopped"
        assert events_in(server.log)[0] == "listening" and server.other == []
        kept.close()
    with Server(folder, "--store", store) as server:
        assert httpx.get(f"{server.url}/v1/users/u").json()["events"] == 2
        assert server.end(signal.SIGINT) == 0
        assert events_in(server.log)[-1] == "stopped" and server.other == []


@pytest.mark.slow
def test_rules_stock_and_clicks_after_a_kill(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text("deny: [i0]\nmix: [{shares: {popular: 1}}]")
    more = ("--store", f"sqlite:///{tmp_path / 'e'}", "--rules", str(tmp_path / "shop.yaml"))
    learned = {"segment": "none", "shown": {"popular": 9}, "clicked": {"popular": 2}}
    with Server(folder, *more) as server:
        assert httpx.post(f"{server.url}/v1/items/availability", json={"i2": False}).json()["unknown"] == []
        first = httpx.post(f"{server.url}/v1/feedback", json=learned).json()
        server.end(signal.SIGKILL)
    with Server(folder, *more) as server:
        found = httpx.get(f"{server.url}/v1/users/u/recommendations?k=3").json()["items"]
        assert [item["item"] for item in found] == ["i1", "i3", "i4"]
        assert httpx.post(f"{server.url}/v1/feedback", json={"segment": "none"}).json() == first
        assert httpx.get(f"{server.url}/readyz").json()["rules"] == "current"
        assert server.end() == 0 and server.other == []


class Load(threading.Thread):
    """Sends events of users of its own until the server is gone, each request with a key.

    Attributes:
        acknowledged: events whose answer came, by user, in their order.
        open: the request that had no answer; it is in the store whole, or not at all.
    """

    def __init__(self, url: str, seed: int, acknowledged: dict[str, list[dict[str, Any]]]) -> None:
        super().__init__(daemon=True)
        self.url, self.random, self.acknowledged = url, random.Random(seed), acknowledged
        self.users = [f"t{seed}u{number}" for number in range(4)]
        self.open: list[dict[str, Any]] = []

    def run(self) -> None:
        with httpx.Client(timeout=30) as client:
            while True:
                self.open = [self.event() for _ in range(self.random.randint(1, 8))]
                try:
                    if self.random.random() < 0.3:
                        client.get(f"{self.url}/v1/users/{self.random.choice(self.users)}/recommendations")
                    answer = client.post(
                        f"{self.url}/v1/events",
                        json={"events": self.open},
                        headers={"Idempotency-Key": str(self.random.random())},
                    )
                except httpx.HTTPError:
                    return
                assert answer.status_code == 200, answer.text
                for event in self.open:
                    self.acknowledged.setdefault(event["user"], []).append(event)
                self.open = []

    def event(self) -> dict[str, Any]:
        number = self.random.getrandbits(60)
        time = START + self.random.randrange(10**6)  # out of order, as a rule
        return {
            "user": self.random.choice(self.users),
            "item": f"i{self.random.randrange(300)}",
            "rating": float(number % 5 + 1),
            "time": float(time),
            "id": str(number),
        }


def check_after_kills(folder: Path, store: str, kills: int) -> None:
    """Kill a server under load again and again, and compare what it knows with what it acknowledged."""
    model = Recommender.load(folder)
    acknowledged: dict[str, list[dict[str, Any]]] = {}
    for turn in range(kills):
        with Server(folder, "--store", store, "--states", "5") as server:
            loads = [Load(server.url, 100 * turn + number, acknowledged) for number in range(3)]
            for load in loads:
                load.start()
            time.sleep(0.5 + random.random())
            server.end(signal.SIGKILL)
            for load in loads:
                load.join(60)
        open_ = [event for load in loads for event in load.open]
        with Server(folder, "--store", store, "--states", "5") as server:
            answers = {user: httpx.get(f"{server.url}/v1/users/{user}").json()["events"] for user in acknowledged}
            # A request without an answer is sent again, with the same ids: what it brings is stored once.
            if open_:
                again = httpx.post(f"{server.url}/v1/events", json={"events": open_}).json()
                assert again["accepted"] + again["duplicates"] == len(open_)
            for user, events in acknowledged.items():
                extra = [event for event in open_ if event["user"] == user]
                assert len(events) <= answers[user] <= len(events) + len(extra)
                events += extra
            for user, events in random.sample(sorted(acknowledged.items()), min(8, len(acknowledged))):
                found = httpx.get(f"{server.url}/v1/users/{user}/recommendations").json()["items"]
                history = [Event(e["item"], e["rating"], None, e["time"]) for e in events]
                wanted = model.recommend(history, 10).items
                assert [item["item"] for item in found] == [item.item for item in wanted]
                scores = [item["score"] for item in found]
                assert scores == pytest.approx([item.score for item in wanted], rel=1e-4, abs=1e-4)
            assert server.end(signal.SIGKILL if turn % 2 else signal.SIGTERM) in (0, -signal.SIGKILL)
    assert sum(map(len, acknowledged.values())) > 20 * kills


@pytest.mark.slow
def test_no_acknowledged_event_is_lost_by_a_kill(folder: Path, store_url: str) -> None:
    check_after_kills(folder, store_url, 2)


@pytest.mark.exhaustive
def test_no_acknowledged_event_is_lost_by_twenty_kills(folder: Path, store_url: str) -> None:
    check_after_kills(folder, store_url, 20)


def test_a_network_needs_keys() -> None:
    for host in ("0.0.0.0", "::"):
        with pytest.raises(ValueError, match="Without API keys the service must listen only on this machine"):
            check_address(Address(host), ServiceOptions())
        check_address(Address(host), ServiceOptions(keys=Path("keys")))
    for host in ("127.0.0.1", "::1", "localhost"):
        check_address(Address(host), ServiceOptions())
    with pytest.raises(ValueError, match=r"--host no.such.host.invalid is not an address of this machine"):
        check_address(Address("no.such.host.invalid"), ServiceOptions())


def test_a_port_that_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(ValueError, match=f"port {port}: Address already in use. Give another --port"),
            listening(Address(port=port)),
        ):
            pass
    for port in (70_000, -1):
        with pytest.raises(ValueError, match=r"--port must be from 0 .* to 65535; got"):
            check_address(Address(port=port), ServiceOptions())


def test_certificates_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--tls-key needs --tls-cert"):
        check_address(Address(private_key=tmp_path / "k"), ServiceOptions())
    with pytest.raises(ValueError, match="cannot be used: No such file or directory"):
        check_address(Address(certificate=tmp_path / "c"), ServiceOptions())
    (tmp_path / "c").write_text("no certificate")
    with pytest.raises(ValueError, match=r"cannot be used: .*PEM"):
        check_address(Address(certificate=tmp_path / "c"), ServiceOptions())


@pytest.mark.slow
def test_tls(folder: Path, tmp_path: Path) -> None:
    certificate = tmp_path / "both.pem"
    make_certificate(certificate)
    with Server(folder, "--store", f"sqlite:///{tmp_path / 'e'}", "--tls-cert", str(certificate)) as server:
        assert server.url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=str(certificate))
        assert httpx.get(f"{server.url}/healthz", verify=context).json() == {"status": "ok"}
        assert server.end() == 0


def make_certificate(file: Path) -> None:
    """A certificate of 127.0.0.1 that signs itself, with its key."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    place = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = builder.add_extension(place, critical=False).sign(key, hashes.SHA256())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + certificate.public_bytes(pem))


@pytest.fixture(autouse=True)
def _own_random() -> Iterator[None]:
    random.seed(5)
    yield
