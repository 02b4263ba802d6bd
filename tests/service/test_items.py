"""New items while the service runs, and after a restart; items found by the meaning of words."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.service import gate as gate_module
from recbole_longinterest.service import items as items_module
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.text import encoder as encoder_module
from recbole_longinterest.text.folder import EncoderError
from tests.conftest import FakeEncoder
from tests.service.conftest import START, MakeClient, as_json, assert_equals_batch, post, recommended, text_served
from tests.service.test_app import problem

NEW = [{"item_id": "n1", "title": "Title <3>", "class": "Drama"}, {"item_id": "n2", "title": "Another one"}]
HISTORY = [Event(f"i{number}", float(number % 5 + 1), "view", START + number) for number in range(20)]


def as_table(rows: list[dict[str, Any]]) -> Any:
    import pandas as pd

    return pd.DataFrame(rows)


def test_a_new_item_is_recommended_at_once_and_after_a_restart(
    make_client: MakeClient, encoder: FakeEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, grown = Recommender(text_served()), Recommender(text_served())
    grown.add_items(as_table(NEW), boost=2.0)
    with make_client(served=model) as client:
        post(client, [as_json("u", event) for event in HISTORY])
        post(client, [as_json("v", event) for event in HISTORY] + [{"user": "v", "item": "n1", "time": START + 50}])
        before = dict(recommended(client, "u", 60))
        assert_equals_batch(client, model, "v", HISTORY)  # n1 is unknown so far
        answer = client.post("/v1/items", json={"items": NEW, "boost": 2})
        assert answer.json() == {"new": ["n1", "n2"], "changed": [], "model": grown.fingerprint}
        after = dict(recommended(client, "u", 60))
        assert after.keys() - before.keys() == {"n1", "n2"}
        assert {name: after[name] for name in before} == pytest.approx(before, abs=1e-5)
        assert_equals_batch(client, grown, "u", HISTORY)
        assert_equals_batch(client, grown, "v", [*HISTORY, Event("n1", time=START + 50)])
        assert client.get("/v1/items?query=another").json()["items"][0]["item"] == "n2"
        assert client.get("/v1/items/n1/similar?k=1").json()["items"]
        assert model.n_items == 40  # the model that was given stays what it was
    encoded = len(encoder.encoded)
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setattr(encoder_module, "TextEncoder", None)  # the vectors are kept, so none is needed
    with make_client(served=model) as client:
        assert_equals_batch(client, grown, "u", HISTORY)
        assert_equals_batch(client, grown, "v", [*HISTORY, Event("n1", time=START + 50)])
        assert client.get("/v1/items?query=another").json()["items"][0]["title"] == "Another one"
    assert len(encoder.encoded) == encoded


def test_a_known_item_gets_another_text(make_client: MakeClient, encoder: FakeEncoder) -> None:
    changed = [{"item_id": "i5", "title": "Something new"}]
    model, grown = Recommender(text_served()), Recommender(text_served())
    grown.add_items(as_table(changed))
    with make_client(served=model) as client:
        post(client, [as_json("u", event) for event in HISTORY])  # i5 is among them
        assert_equals_batch(client, model, "u", HISTORY)
        assert client.post("/v1/items", json={"items": changed}).json()["changed"] == ["i5"]
        assert_equals_batch(client, grown, "u", HISTORY)
        again = client.post("/v1/items", json={"items": [{"item_id": "i5", "title": "Title <5>"}]})
        assert again.json()["changed"] == ["i5"]
        assert_equals_batch(client, model, "u", HISTORY)
    with make_client(served=model) as client:
        assert_equals_batch(client, model, "u", HISTORY)


def test_a_model_that_was_trained_on_the_items_keeps_what_training_gave_them(
    make_client: MakeClient, encoder: FakeEncoder
) -> None:
    with make_client(served=Recommender(text_served())) as client:
        client.post("/v1/items", json={"items": [*NEW, {"item_id": "i41", "title": "of before"}]})
    later = Recommender(text_served(50))  # knows i41
    grown = Recommender(text_served(50))
    grown.add_items(as_table(NEW))
    with make_client(served=later) as client:
        post(client, [as_json("u", event) for event in HISTORY])
        assert_equals_batch(client, grown, "u", HISTORY)
        assert client.get("/v1/items?query=i41").json()["items"][0]["title"] == "Title <41>"


def test_another_encoder_encodes_the_texts_again(make_client: MakeClient, encoder: FakeEncoder) -> None:
    with make_client(served=Recommender(text_served())) as client:
        client.post("/v1/items", json={"items": NEW})
    other = text_served()
    other.about["text"] = {**other.about["text"], "text_encoder": "another"}
    encoder.encoded.clear()
    with make_client(served=Recommender(other)) as client:
        assert client.get("/v1/items?query=another one").json()["items"][0]["item"] == "n2"


def test_items_that_cannot_be_added(
    make_client: MakeClient, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_client(served=Recommender(text_served())) as client:
        for items, said in [
            ([{"title": "A"}], "The table of items must have a column item_id"),
            ([{"item_id": "a"}], "The table of items has no column title"),
            ([{"item_id": "a", "title": ""}], ""),
            ([{"item_id": "a", "title": "A"}] * 2, "The item a is in the table more than once"),
            ([{"item_id": None, "title": "A"}], "has rows without item_id"),
        ]:
            assert said in problem(client.post("/v1/items", json={"items": items}), 422, "invalid")
        assert problem(client.post("/v1/items", json={"items": NEW, "boost": 0}), 422, "invalid")

        def missing(*args: object, **kwargs: object) -> Any:
            raise EncoderError("The encoder fake is not there.")

        monkeypatch.setattr(encoder_module, "TextEncoder", missing)
        said = problem(client.post("/v1/items", json={"items": NEW}), 409, "no-encoder")
        assert said == "The encoder fake is not there."
        assert problem(client.get("/v1/items?query=a&by=text"), 409, "no-encoder") == said
        assert client.get("/v1/items?query=another one").json()["items"] == []


def test_items_are_added_to_the_end_also_where_the_client_has_gone(
    make_client: MakeClient, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = items_module.grow

    def slow(*args: Any) -> Any:
        time.sleep(1)
        return made(*args)

    monkeypatch.setattr(items_module, "grow", slow)
    monkeypatch.setattr(gate_module, "LONG", {})
    with make_client(served=Recommender(text_served()), timeout=0.3) as client:
        assert problem(client.post("/v1/items", json={"items": NEW}), 504, "timed-out")
        waited = (time.sleep(0.05) or client.get("/v1/items?query=n2").json().get("items") for _ in range(200))
        assert any(waited)
    with make_client(served=Recommender(text_served())) as client:
        assert client.get("/v1/items/n2/similar?k=1").status_code == 200


def test_an_engine_with_a_fixed_table_says_so(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Recommender(text_served())
    monkeypatch.setattr(type(model.engine), "can_grow", False)
    with make_client(served=model) as client:
        said = problem(client.post("/v1/items", json={"items": NEW}), 422, "invalid")
        assert said.startswith("TorchEngine has a fixed item table. Add the items to the folder")


def test_items_are_found_by_what_a_text_means(make_client: MakeClient, encoder: FakeEncoder) -> None:
    """The fake encoder gives the same text the same vector, and others any."""
    with make_client(served=Recommender(text_served())) as client:
        client.post("/v1/items", json={"items": NEW})
        found = client.get("/v1/items", params={"query": "Title <7>", "by": "text", "k": 3}).json()["items"]
        assert found[0]["item"] == "i7" and found[0]["score"] == pytest.approx(1, abs=1e-5) and len(found) == 3
        found = client.get("/v1/items", params={"query": "Another one", "by": "text"}).json()["items"]
        assert found[0]["item"] == "n2"
