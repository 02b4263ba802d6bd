"""A model, stores of both kinds, and a client of a service in this process."""

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import create_engine, text
from starlette.testclient import TestClient

from recbole_longinterest.nn.network import InterestNetwork, Sources
from recbole_longinterest.nn.options import ModelOptions
from recbole_longinterest.nn.sources import SourceSpec
from recbole_longinterest.nn.state_keys import item_key
from recbole_longinterest.service.app import create_app
from recbole_longinterest.service.options import ServiceOptions
from recbole_longinterest.service.run import started_service
from recbole_longinterest.service.service import Service
from recbole_longinterest.service.store.store import open_store
from recbole_longinterest.service.versions import Versions
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.served import Served
from recbole_longinterest.text import encoder as encoder_module
from tests.conftest import FakeEncoder
from tests.served import KINDS, OPTIONS, SPECS, random_served

START = 1_500_000_000.0  # of the training's times
NUMBERS = itertools.count()


def timed_served(n_items: int = 300, options: ModelOptions = OPTIONS, **changes: Any) -> Served:
    """Random weights of a model that was trained on times in seconds, with counts of recent events."""
    served = random_served(options, n_items)
    served.about = {
        "times": {"first": START - 1e8, "median": START, "last": START + 1e8},
        "behaviors": {"names": list(KINDS), "targets": [], "map": {}},
    }
    served.items.recent = [0, *(n_items - number for number in range(n_items))]
    for name, value in changes.items():
        setattr(served, name, value)
    return served


TEXT = {
    "text_encoder": "fake",
    "text_fields": ["title"],
    "text_template": None,
    "text_pooling": None,
    "text_max_length": None,
    "text_prompt": None,
    "text_precision": "fp32",
    "seq_separator": " ",
    "kinds": {"title": "token_seq", "class": "token_seq"},
}


def features(*names: str) -> list[SourceSpec]:
    """Sources of further columns of these names: a token, several tokens, a number, and a token of the user."""
    token, tokens, number, user = names
    known = {"tokens": ["[PAD]", "0", "1", "a"]}
    return [
        SourceSpec(token, "token", token, settings=known),
        SourceSpec(tokens, "tokens", tokens, settings=known),
        SourceSpec(number, "number", number, settings={"values": [0.0, 1.0, 5.0], "range": None}),
        SourceSpec(f"user_{user}", "token", user, of="user", settings=known),
    ]


def text_served(n_items: int = 40, more: Sequence[SourceSpec] = ()) -> Served:
    """Random weights of a model that scores items by their texts, too, which :class:`FakeEncoder` encodes.

    Args:
        n_items: number of items.
        more: further sources of events.
    """
    served = timed_served(n_items)
    network = InterestNetwork()
    network.build(OPTIONS, Sources(n_items + 1, items={"text": 4}, events=[*SPECS, *more]))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.3, generator=generator)
    raw = FakeEncoder().encode(served.items.titles)
    projection = torch.randn(16, 4, generator=generator)
    vectors = torch.from_numpy(raw) @ projection
    vectors[0] = 0
    made = {"vectors": vectors, "mean": torch.zeros(16), "whitening": projection}
    served.weights = {**network.state_dict(), **{item_key("text", name): value for name, value in made.items()}}
    served.weights[item_key("text", "present")] = torch.arange(n_items + 1) > 0
    served.sources = [*SPECS, *more]
    served.about |= {"text": TEXT, "shown": {"title": "title", "category": "class"}}
    return served


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEncoder:
    """The encoder of :func:`text_served`, with a cache of the test's own."""
    made = FakeEncoder()
    monkeypatch.setattr(encoder_module, "TextEncoder", lambda *args, **kwargs: made)
    monkeypatch.setenv("RECBOLE_LI_CACHE", str(tmp_path / "cache"))
    return made


@pytest.fixture(scope="session")
def model() -> Recommender:
    return Recommender(timed_served())


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL cluster of its own, with a place for the name of a database; it listens on a socket alone."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))  # Debian's; others have it on the path
    found += [Path(place) for place in [shutil.which("initdb")] if place]
    if not found:
        pytest.skip("PostgreSQL's initdb is not installed (Debian: apt-get install postgresql)")
    programs = found[-1].parent
    other: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    if os.geteuid() == 0:  # which PostgreSQL refuses
        if not shutil.which("setpriv"):
            pytest.skip("PostgreSQL does not run as root, and there is no setpriv to run it as another user")
        other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chown(folder, 65534, 65534)
    folder.chmod(0o755)
    data = folder / "data"

    def do(program: str, *arguments: str) -> None:
        command = [*other, str(programs / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr

    do("initdb", "-D", str(data), "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
    options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off -c max_connections=60"
    do("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://tester@/{{}}?host={folder}"
    finally:
        do("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty store, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'events.sqlite'}"
    cluster: str = request.getfixturevalue("postgres")
    name = f"t{next(NUMBERS)}"
    engine = create_engine(cluster.format("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return cluster.format(name)


MakeClient = Callable[..., "contextlib.AbstractContextManager[TestClient]"]


@pytest.fixture
def make_client(model: Recommender, tmp_path: Path) -> MakeClient:
    """A service on a store in SQLite, and a client of it; keywords are of :class:`ServiceOptions`."""

    @contextlib.contextmanager
    def make(
        url: str | None = None,
        served: Recommender | None = None,
        clock: Callable[[], float] = lambda: START,
        shared: bool = False,
        versions: Versions | None = None,
        **options: Any,
    ) -> Iterator[TestClient]:
        with open_store(url or f"sqlite:///{tmp_path / 'events.sqlite'}", shared) as store:
            if versions is None:
                service = Service(served or model, store, ServiceOptions(**options), clock)
            else:
                service = started_service(versions, store, ServiceOptions(**options), lambda: None)
            # Without the exceptions of the server: a client sees none.
            with TestClient(create_app(service), "http://localhost", raise_server_exceptions=False) as client:
                yield client

    return make


@pytest.fixture
def client(make_client: MakeClient) -> Iterator[TestClient]:
    with make_client() as made:
        yield made


def as_json(user: str, event: Event, **more: Any) -> dict[str, Any]:
    """An event as a client sends it."""
    given = {"user": user, "item": event.item, "rating": event.rating, "behavior": event.behavior, "time": event.time}
    return {name: value for name, value in {**given, **more}.items() if value is not None}


def post(client: TestClient, events: list[dict[str, Any]], **headers: str) -> Any:
    """Send events; the answer's content."""
    answer = client.post("/v1/events", json={"events": events}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def recommended(client: TestClient, user: str, k: int = 10) -> list[tuple[str, float]]:
    """Items and scores that a service recommends to a user."""
    answer = client.get(f"/v1/users/{user}/recommendations", params={"k": k})
    assert answer.status_code == 200, answer.text
    return [(item["item"], item["score"]) for item in answer.json()["items"]]


def assert_equals_batch(client: TestClient, model: Recommender, user: str, events: list[Event]) -> None:
    """A service recommends to a user what the batch forward does over these events."""
    wanted = model.recommend_many([events], 10)[0].items
    found = recommended(client, user)
    assert [item for item, _ in found] == [item.item for item in wanted]
    assert [score for _, score in found] == pytest.approx([item.score for item in wanted], rel=1e-4, abs=1e-4)
