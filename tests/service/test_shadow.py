"""Shadow mode: another model answers the same requests in its own process, which may stop or die."""

import json
import logging
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from recbole_longinterest.service import shadow as shadow_module
from recbole_longinterest.service.options import ServiceOptions
from recbole_longinterest.service.shadow_process import Asked, ShadowSetup, score_requests
from recbole_longinterest.service.shop_parts import Wish
from recbole_longinterest.service.store.store import open_store
from recbole_longinterest.service.versions import Versions
from recbole_longinterest.serving.events import Event
from tests.service.conftest import START, MakeClient, as_json, post, recommended
from tests.service.load import wait_until
from tests.service.test_models import HISTORY, break_weights, write_version


class Pipe:
    """The service's end and the shadow's end of a pipe in one thread: requests that were prepared, and answers."""

    def __init__(self, asked: list[Asked]) -> None:
        self.asked, self.said = asked, list[Any]()

    def recv(self) -> Asked:
        if not self.asked:
            raise EOFError
        return self.asked.pop(0)

    def send(self, said: Any) -> None:
        self.said.append(said)


@pytest.fixture
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's process keeps its priority, its signals and its log."""
    monkeypatch.setattr(os, "nice", lambda _: 0)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr("recbole_longinterest.service.shadow_process.set_up_logs", lambda *_: None)


@pytest.mark.usefixtures("_quiet")
def test_both_answers_are_logged(tmp_path: Path, make_client: MakeClient, caplog: pytest.LogCaptureFixture) -> None:
    url = f"sqlite:///{tmp_path / 'e'}"
    with make_client(url) as client:
        post(client, [as_json("u", event) for event in HISTORY])
    model = write_version(tmp_path / "models", "v2", 0.7)
    rules = tmp_path / "shop.yaml"
    rules.write_text("deny: [i50]")
    caplog.set_level(logging.INFO)
    for options in (ServiceOptions(), ServiceOptions(rules=rules)):
        wanted = [item.item for item in model.recommend_many([HISTORY], 10)[0].items]
        asked = [
            Asked("u", None, None, Wish(), wanted, "fp", START),
            Asked(None, HISTORY, None, Wish(5, strategy="interest"), [*wanted[:4], "other"], "fp", START),
            Asked(None, HISTORY, None, Wish(k=-1), wanted, "fp", START),
        ]
        pipe, setup = Pipe(asked), ShadowSetup(Versions(tmp_path / "models"), "v2", url, options, logging.INFO)
        with open_store(url):  # of the service, which has it at the same time
            caplog.clear()
            score_requests(setup, pipe)
        ready, first, second, third = pipe.said
        assert ready is None and second == ("compared", 0.8) and third == ("failed", None)
        assert first[0] == "compared" and (first[1] == 1.0 or options.rules)
        logged = [getattr(line, "fields", {}) for line in caplog.records if line.getMessage() == "shadow"]
        assert len(logged) == 3 and logged[1]["items"][4] == "other" and logged[1]["shadow_items"] == wanted[:5]
        assert "user" not in json.dumps(logged) and logged[0]["version"] == "v2"


@pytest.mark.usefixtures("_quiet")
def test_a_shadow_that_cannot_be_served_says_why(tmp_path: Path) -> None:
    write_version(tmp_path / "models", "v2")
    break_weights(tmp_path / "models" / "v2")
    pipe = Pipe([])
    setup = ShadowSetup(Versions(tmp_path / "models"), "v2", f"sqlite:///{tmp_path / 'e'}", ServiceOptions(), 20)
    score_requests(setup, pipe)
    assert len(pipe.said) == 1 and "model.safetensors" in pipe.said[0]


def counted(client: TestClient, outcome: str) -> float:
    line = f'recbole_li_shadow_requests_total{{outcome="{outcome}"}} '
    return sum(float(each.removeprefix(line)) for each in client.get("/metrics").text.splitlines() if line in each)


@pytest.mark.slow
def test_no_answer_waits_for_a_shadow(tmp_path: Path, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_module, "WAITING", 4)
    folder = tmp_path / "models"
    model = write_version(folder, "v1")
    write_version(folder, "v2", 0.7)

    def set_shadow(client: TestClient, version: str) -> Any:
        return client.put("/v1/admin/models/shadow", json={"version": version})

    with make_client(versions=Versions(folder)) as client:
        assert client.post("/v1/admin/models", json={"version": "v1"}).status_code == 200
        assert set_shadow(client, "v3").json()["type"].endswith("unknown-version")
        assert set_shadow(client, "v2").json()["shadow"] == "v2"
        (process,) = [each for each in multiprocessing.active_children() if each.name == "shadow"]
        assert process.pid is not None
        post(client, [as_json("u", event) for event in HISTORY])
        wanted = [item.item for item in model.recommend_many([HISTORY], 10)[0].items]

        def ask() -> None:
            assert [item for item, _ in recommended(client, "u")] == wanted

        ask()
        assert client.post("/v1/recommendations", json={"events": [{"item": "i1"}]}).status_code == 200
        wait_until(lambda: counted(client, "compared") == 2)
        os.kill(process.pid, signal.SIGSTOP)
        for _ in range(8):
            ask()
        assert counted(client, "left_out") >= 2 and counted(client, "compared") == 2
        os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: client.get("/v1/admin/models").json()["shadow"] is None)
        ask()
        assert client.delete("/v1/admin/models/shadow").json()["shadow"] is None
    assert not [each for each in multiprocessing.active_children() if each.name == "shadow"]


def test_a_history_is_sent_whole() -> None:
    """What a shadow is sent goes through a pipe."""
    import pickle

    one = Asked(None, [Event("i1", 3.0, "buy", START, {"a": [1]})], {"age": 3}, Wish(3), ["i2"], "fp", START)
    assert pickle.loads(pickle.dumps(one)) == one
