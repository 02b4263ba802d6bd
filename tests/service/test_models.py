"""Versions of a model: which is served, how it is exchanged, what is refused, and who follows."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from recbole_longinterest.nn.options import ModelOptions
from recbole_longinterest.service import upkeep
from recbole_longinterest.service.versions import VersionError, Versions
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.model_folder import write_folder
from recbole_longinterest.serving.recommender import Recommender
from tests.served import OPTIONS
from tests.service.conftest import START, MakeClient, as_json, assert_equals_batch, post, timed_served
from tests.service.load import wait_until

HISTORY = [Event(f"i{number}", 4.0, "view", START + number) for number in range(6)]


def write_version(folder: Path, name: str, factor: float = 1.0, n_items: int = 300, **changes: Any) -> Recommender:
    """Export a version; returns its model."""
    served = timed_served(n_items, **changes)
    served.weights = {
        key: value * factor if value.is_floating_point() else value for key, value in served.weights.items()
    }
    write_folder(served, folder / name)
    return Recommender.load(folder / name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one version."""
    write_version(tmp_path / "models", "v1")
    return tmp_path / "models"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "LOOK", 0.05)


def change(client: TestClient, version: str) -> Any:
    return client.post("/v1/admin/models", json={"version": version})


def in_force(client: TestClient) -> Any:
    return client.get("/v1/admin/models").json()["version"]


def test_a_model_is_exchanged_and_brought_back(make_client: MakeClient, folder: Path, store_url: str) -> None:
    models = {"v1": Recommender.load(folder / "v1")}
    with make_client(store_url, versions=Versions(folder)) as client:
        post(client, [as_json("u", event) for event in HISTORY])
        assert_equals_batch(client, models["v1"], "u", HISTORY)
        models["v2"] = write_version(folder, "v2", 0.7, n_items=310)
        said = change(client, "v2").json()
        assert (said["version"], said["previous"], said["versions"]) == ("v2", "v1", ["v1", "v2"])
        assert said["model"] == models["v2"].fingerprint
        assert_equals_batch(client, models["v2"], "u", HISTORY)
        for strategy in ("interest", "similar"):  # the shop goes on with the new model, too
            found = client.get("/v1/users/u/recommendations", params={"strategy": strategy})
            assert found.json()["model"] == models["v2"].fingerprint
        back = client.post("/v1/admin/models/back").json()
        assert (back["version"], back["previous"]) == ("v1", "v2")
        assert_equals_batch(client, models["v1"], "u", HISTORY)
        assert change(client, "v2").status_code == 200
    with make_client(store_url, versions=Versions(folder)) as client:  # a restart serves what was in force
        assert in_force(client) == "v2"
        assert client.post("/v1/admin/models/back").json()["version"] == "v1"
    shutil.rmtree(folder / "v1")
    with make_client(store_url, versions=Versions(folder)) as client:
        assert in_force(client) == "v2"
        assert_equals_batch(client, models["v2"], "u", HISTORY)


def break_weights(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def test_a_bad_model_is_refused_and_the_old_one_stays(make_client: MakeClient, folder: Path) -> None:
    with make_client(versions=Versions(folder)) as client:
        post(client, [as_json("u", event) for event in HISTORY])
        model = Recommender.load(folder / "v1")
        write_version(folder, "broken", 0.5)
        break_weights(folder / "broken")
        milliseconds = {"first": START * 1000, "median": START * 1000 + 1, "last": START * 1000 + 2}
        write_version(folder, "other", about={"times": milliseconds})
        for name, why in (("broken", "is not what"), ("other", "It cannot read events that the active version can")):
            answer = change(client, name)
            assert answer.status_code == 409 and answer.json()["type"].endswith("model-refused"), answer.text
            assert why in answer.json()["detail"] or name == "broken"
            assert_equals_batch(client, model, "u", HISTORY)
        assert sorted(client.get("/v1/admin/models").json()["refused"]) == ["broken", "other"]
        assert in_force(client) == "v1"
        assert client.post("/v1/admin/models/back").json()["type"].endswith("unknown-version")


@pytest.mark.parametrize("name", ["none", "..", "../models/v1", "/etc", ".v1", "link", "a/b", ""])
def test_a_request_chooses_no_other_folder(make_client: MakeClient, folder: Path, tmp_path: Path, name: str) -> None:
    write_version(tmp_path, "elsewhere")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    with make_client(versions=Versions(folder)) as client:
        answer = change(client, name)
        assert answer.status_code == (404 if name in ("none", "link") else 422)
        assert in_force(client) == "v1"
    with pytest.raises(VersionError, match="has no version"):
        Versions(folder).load(name)


def test_a_service_of_one_folder_has_no_versions(client: TestClient) -> None:
    for answer in (change(client, "v1"), client.post("/v1/admin/models/back")):
        assert answer.status_code == 409 and answer.json()["type"].endswith("no-versions")
    assert client.get("/v1/admin/models").json()["versions"] == []


def test_versions_that_appear_come_into_force(make_client: MakeClient, folder: Path, tmp_path: Path) -> None:
    def ask(client: TestClient, version: str) -> Callable[[], bool]:
        return lambda: in_force(client) == version

    with make_client(versions=Versions(folder), watch=True) as client:
        write_version(folder, "v2", 0.7)
        wait_until(ask(client, "v2"))
        assert client.post("/v1/admin/models/back").json()["version"] == "v1"
        write_version(tmp_path, "bad", 0.7)
        break_weights(tmp_path / "bad")
        (tmp_path / "bad").rename(folder / "bad")
        wait_until(lambda: "bad" in client.get("/v1/admin/models").json()["refused"])
        assert in_force(client) == "v1"  # and not v2 again, which was tried
    write_version(folder, "v3", 0.6)
    with make_client(versions=Versions(folder), watch=True) as client:
        wait_until(ask(client, "v3"))


def test_other_processes_follow(make_client: MakeClient, folder: Path, store_url: str) -> None:
    write_version(folder, "v0", 0.7)
    versions = Versions(folder)
    with (
        make_client(store_url, versions=versions, shared=True) as first,
        make_client(store_url, versions=versions, shared=True) as second,
    ):
        name = "v1" if in_force(first) == "v0" else "v0"
        post(first, [as_json("u", event) for event in HISTORY])
        assert change(first, name).status_code == 200
        wait_until(lambda: in_force(second) == name)
        assert_equals_batch(second, Recommender.load(folder / name), "u", HISTORY)
        second.post("/v1/items/availability", json={"i7": False})
        shown = {"segment": "none", "shown": {"popular": 1}}
        assert [c.post("/v1/feedback", json=shown).status_code for c in (first, second)] == [200, 200]
        wait_until(lambda: '"i7"' not in first.get("/v1/users/x/recommendations?k=300").text)
        rates = [c.post("/v1/feedback", json=shown).json()["strategies"]["popular"] for c in (second, first)]
        assert [rate["shown"] for rate in rates] == [3.0, 4.0]


def test_where_to_start(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(VersionError, match=r"has no versions\. Make one with recbole-li export"):
        Versions(tmp_path).first([])
    with pytest.raises(VersionError, match=r"The folder of models .* cannot be read: No such file"):
        Versions(tmp_path / "none").first([])
    write_version(folder, "v2", 0.7)
    assert Versions(folder).first([])[0] == "v2" and Versions(folder).first(["gone", "v1"])[0] == "v1"
    break_weights(folder / "v2")
    assert Versions(folder).first(["v2"])[0] == "v1"
    break_weights(folder / "v1")
    with pytest.raises(ValueError, match=r"No version in .* can be served: "):
        Versions(folder).first([])


def test_answers_go_on_while_the_model_changes(make_client: MakeClient, folder: Path) -> None:
    """Each answer is one model's, of the state to the fingerprint, whether strategies are asked for or not."""
    wide = ModelOptions(**{**vars(OPTIONS), "embedding_size": 24})
    models = [Recommender.load(folder / "v1"), write_version(folder, "v2", options=wide, n_items=200)]
    wanted = {
        model.fingerprint: [item.item for item in model.recommend_many([HISTORY], 10)[0].items] for model in models
    }
    found: list[str] = []

    def ask(client: TestClient, done: list[bool]) -> None:
        while not done:
            for more in ({}, {"strategy": "interest"}):
                answer = client.get("/v1/users/u/recommendations", params=more)
                assert answer.status_code == 200, answer.text
                assert [item["item"] for item in answer.json()["items"]] == wanted[answer.json()["model"]]
                found.append(answer.json()["model"])

    async def work(client: TestClient) -> None:
        done: list[bool] = []
        asking = [asyncio.create_task(asyncio.to_thread(ask, client, done)) for _ in range(2)]
        for name in ("v2", "v1", "v2", "v1"):
            assert (await asyncio.to_thread(change, client, name)).status_code == 200
        done.append(True)
        await asyncio.gather(*asking)

    with make_client(versions=Versions(folder)) as client:
        assert change(client, "v1").status_code == 200
        post(client, [as_json("u", event) for event in HISTORY])
        asyncio.run(work(client))
    assert set(found) == set(wanted)
