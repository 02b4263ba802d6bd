"""A replica's application opens the store that all replicas share, and closes it when it stops."""

from pathlib import Path

import pytest
import torch
from starlette.testclient import TestClient

from recbole_longinterest.service import replica
from recbole_longinterest.service.options import ServiceOptions
from recbole_longinterest.service.replica import replica_app
from recbole_longinterest.service.run import Address
from recbole_longinterest.service.store.store import open_store
from recbole_longinterest.service.versions import Versions
from recbole_longinterest.service.workers import ModelPlace, WorkerSetup
from tests.service.conftest import START, post, recommended
from tests.service.test_models import write_version


def test_replicas_share_a_store(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "set_up_logs", lambda *_: None)  # the test's process keeps its own
    write_version(tmp_path, "v1")
    threads = torch.get_num_threads()
    places = [ModelPlace(folder=tmp_path / "v1"), ModelPlace(versions=Versions(tmp_path))]
    setups = [WorkerSetup(place, store_url, Address(), ServiceOptions(), threads=threads) for place in places]
    with (
        TestClient(replica_app(setups[0]), "http://localhost") as first,
        TestClient(replica_app(setups[1]), "http://localhost") as second,
    ):
        recommended(second, "u")
        post(first, [{"user": "u", "item": "i1", "time": START}])
        ours, others = dict(recommended(first, "u")), dict(recommended(second, "u"))
        assert list(ours) == list(others)
        assert ours == pytest.approx(others, rel=1e-5)  # one has made a step, the other a batch: rounding may differ
        assert second.get("/v1/users/u").json()["events"] == 1
    with open_store(store_url) as store:  # alone: both have let it go
        assert len(store.events_of("u")) == 1


def test_a_replica_without_a_model_leaves_no_lock(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "set_up_logs", lambda *_: None)
    setup = WorkerSetup(
        ModelPlace(versions=Versions(tmp_path)), store_url, Address(), ServiceOptions(), threads=torch.get_num_threads()
    )
    with pytest.raises(ValueError, match="has no versions"):
        replica_app(setup)
    with open_store(store_url):
        pass
