"""What the service does by itself: it lets go of users whom others erased, and ends when the store is another's."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from starlette.testclient import TestClient

from recbole_longinterest.service import upkeep
from recbole_longinterest.service.app import create_app
from recbole_longinterest.service.service import Service
from recbole_longinterest.service.store.records import Erase
from recbole_longinterest.service.store.store import open_store
from recbole_longinterest.serving.recommender import Recommender
from tests.service.conftest import START, MakeClient, post, recommended
from tests.service.load import wait_until


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "LOOK", 0.05)
    monkeypatch.setattr(upkeep, "SWEEP", 2)


def states_in_memory(client: TestClient) -> Callable[[int], bool]:
    return lambda number: f"recbole_li_states_in_memory {number}.0" in client.get("/metrics").text


def test_states_of_users_whom_another_process_erased_leave_memory(make_client: MakeClient, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'e'}"
    with make_client(url, shared=True) as client, open_store(url, shared=True) as other:
        post(client, [{"user": user, "item": "i1", "time": START} for user in ("u", "v")])
        for user in ("u", "v", "nobody"):
            recommended(client, user)
        assert states_in_memory(client)(3)
        other.write([Erase("u")])
        wait_until(lambda: states_in_memory(client)(2))


def test_a_service_ends_when_another_one_has_taken_its_store(model: Recommender, tmp_path: Path) -> None:
    url, lost = f"sqlite:///{tmp_path / 'e'}", list[bool]()
    event = {"user": "u", "item": "i1", "time": START}
    with open_store(url) as store:
        store_lost = Service(model, store, lost=lambda: lost.append(True))
        with TestClient(create_app(store_lost), "http://localhost", raise_server_exceptions=False) as client:
            assert client.post("/v1/events", json=event).status_code == 200
            with create_engine(url).begin() as connection:  # as a file system without locks would let it
                connection.execute(text("UPDATE changes SET number = number + 2 WHERE name = 'holder'"))
            answer = client.post("/v1/events", json={**event, "time": START + 1})
            assert answer.status_code == 503 and "Another service has taken the store" in answer.json()["detail"]
            wait_until(lambda: bool(lost))
            assert client.get("/readyz").json()["type"].endswith("not-ready")
            assert len(store.events_of("u")) == 1
