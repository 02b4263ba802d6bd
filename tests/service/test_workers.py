"""Several workers behind one port: what one acknowledges counts in every other's answers, also when one is killed."""

import os
import signal
from collections.abc import Iterator
from multiprocessing import Pipe
from pathlib import Path

import httpx
import pytest

from recbole_longinterest.service import workers
from recbole_longinterest.serving.model_folder import write_folder
from recbole_longinterest.serving.recommender import Recommender
from tests.service.conftest import START, timed_served
from tests.service.load import RetryingLoad, run_loads, wait_until
from tests.service.process import Server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workers") / "model"
    write_folder(timed_served(), folder)
    return folder


@pytest.fixture
def server(folder: Path, store_url: str) -> Iterator[Server]:
    with Server(folder, "--store", store_url, "--workers", "2", "--rate", "0", patience=900) as server:
        yield server


def pids(server: Server) -> list[int]:
    return [line["pid"] for line in server.log if line["event"] == "worker ready"]


@pytest.mark.parametrize("said", [[], [None], ["The store is locked."]])
def test_the_reason_of_a_worker_that_did_not_become_ready(said: list[str | None]) -> None:
    ours, its = Pipe(duplex=False)
    for reason in said:
        its.send(reason)
    its.close()
    assert workers._reason(workers._Worker(None, ours)) == (said[0] if said else None)


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(server: Server, folder: Path) -> None:
    model = Recommender.load(folder)
    wait_until(lambda: len(pids(server)) == 2)

    def meanwhile(loads: list[RetryingLoad]) -> None:
        wait_until(lambda: all(load.checked > 5 for load in loads))
        os.kill(pids(server)[0], signal.SIGKILL)
        wait_until(lambda: len(pids(server)) == 3)
        after = [load.checked for load in loads]
        wait_until(lambda: all(load.checked > before + 5 for load, before in zip(loads, after, strict=True)))

    number = run_loads(server.url, model, 2, meanwhile)
    assert number > 50 and [line["code"] for line in server.log if line["event"] == "worker ended"] == [-9]
    text = httpx.get(f"{server.url}/metrics").text  # of all workers together, with that of the one that died
    found = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}
    assert found['recbole_li_events_total{outcome="accepted"}'] >= number - 20  # some were not counted any more
    assert found["recbole_li_items"] == 300

    # One tells all of them: erasure, stock and feedback.
    for _ in range(3):
        sent = {"user": "gone", "item": "i1", "time": START}
        assert httpx.post(f"{server.url}/v1/events", json=sent).json()["accepted"] == 1
        for _ in range(4):
            assert httpx.get(f"{server.url}/v1/users/gone/recommendations").json()["events"] == 1
        assert httpx.delete(f"{server.url}/v1/users/gone").json() == {"events": 1}
        for _ in range(4):
            assert httpx.get(f"{server.url}/v1/users/gone/recommendations").json()["events"] == 0
    httpx.post(f"{server.url}/v1/items/availability", json={"i0": False})
    wait_until(lambda: all(best(server) == "i1" for _ in range(6)))
    shown = {"segment": "none", "shown": {"popular": 1}}
    told = [httpx.post(f"{server.url}/v1/feedback", json=shown).json() for _ in range(8)]
    assert [each["strategies"]["popular"]["shown"] for each in told] == [float(n) for n in range(1, 9)]
    assert server.end() == 0 and server.end_of_log()[-1]["event"] == "stopped"
    assert server.other == []


def best(server: Server) -> str:
    found: str = httpx.get(f"{server.url}/v1/users/nobody/recommendations").json()["items"][0]["item"]
    return found


@pytest.mark.slow
def test_workers_end_with_the_one_that_started_them(folder: Path, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'e'}"
    with Server(folder, "--store", store, "--workers", "2", "--timeout", "1", patience=900) as server:
        wait_until(lambda: len(pids(server)) == 2)
        other = Server.__new__(Server)
        with pytest.raises(AssertionError, match="Another process is serving from"):
            other.__init__(folder, "--store", store)  # type: ignore[misc]
        workers = pids(server)
        server.process.kill()
        server.process.wait(30)
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    with Server(folder, "--store", store, patience=900) as server:
        assert httpx.get(f"{server.url}/healthz", timeout=60).status_code == 200
        assert server.end() == 0
