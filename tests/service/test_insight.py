"""What the service says of its model, and of histories that it does not store."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from recbole_longinterest.nn.network import InterestNetwork, Sources
from recbole_longinterest.serving.explain.category_profile import category_profile_of, interest_over_time
from recbole_longinterest.serving.explain.methods import explain_history
from recbole_longinterest.serving.recommender import Recommender
from tests.served import OPTIONS, SPECS
from tests.service.conftest import START, MakeClient, as_json, post, text_served, timed_served
from tests.service.test_app import events_of, problem


def body_of(number: int, **more: Any) -> dict[str, Any]:
    """A history of random events in a body."""
    events = [as_json("u", event) for event in events_of(number)]
    return {"events": [{name: event[name] for name in event if name != "user"} for event in events], **more}


def answered(client: TestClient, path: str, body: dict[str, Any] | None = None) -> Any:
    answer = client.get(path) if body is None else client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_what_the_model_reads(client: TestClient, make_client: MakeClient, tmp_path: Path) -> None:
    said = answered(client, "/v1/model")
    assert said["items"] == 300 and said["behaviors"] == ["view", "cart", "buy"]
    assert [said[name] for name in ("times", "dates", "categories", "texts", "rules")] == [True] * 3 + [False] * 2
    assert said["ratings"] == {"values": [1.0, 2.0, 3.0, 4.0, 5.0]}
    network = InterestNetwork()
    network.build(OPTIONS, Sources(301))
    plain = timed_served(
        sources=[], weights=network.state_dict(), about={"times": {"first": 1, "median": 2, "last": 3}}
    )
    plain.items.categories = [[]] * 301
    with make_client(f"sqlite:///{tmp_path / 'other'}", Recommender(plain)) as other:
        said = answered(other, "/v1/model")
    assert said["ratings"] is None and said["behaviors"] == []
    assert not any(said[name] for name in ("times", "dates", "categories", "texts"))


def test_ratings_that_the_training_has_scaled(make_client: MakeClient) -> None:
    served = text_served()
    settings = {"values": [0.0, 0.25, 0.5, 0.75, 1.0], "range": [1.0, 5.0]}
    served.sources = [type(SPECS[0])("rating", "rating", "rating", settings=settings), *served.sources[1:]]
    with make_client(served=Recommender(served)) as client:
        said = answered(client, "/v1/model")
    assert said["ratings"]["values"] == [1, 2, 3, 4, 5] and said["texts"]


def test_strategies_and_what_they_lack(client: TestClient) -> None:
    found = {each["name"]: each for each in answered(client, "/v1/strategies")["strategies"]}
    assert found["interest"] == {"name": "interest", "available": True, "problem": None}
    assert not found["content"]["available"] and "needs a model that reads texts" in found["content"]["problem"]


@pytest.mark.parametrize("method", ["removal", "attention"])
def test_explanations_are_those_of_the_library(client: TestClient, model: Recommender, method: str) -> None:
    found = answered(client, "/v1/explanations", body_of(12, items=["i7", "i9"], method=method))["explanations"]
    history = model.read(events_of(12))
    for each, item in zip(found, ("i7", "i9"), strict=True):
        why = explain_history(model, history, model.item_id(item), method)
        assert each["item"] == item and each["categories"] == model.served.items.categories[model.item_id(item)]
        assert [event["share"] for event in each["events"]] == pytest.approx([event.share for event in why.events])
        assert each["sources"] == pytest.approx(why.sources)
    assert client.get("/v1/users/u").status_code == 404  # nothing is stored


def test_explanations_are_of_the_time_of_the_request(make_client: MakeClient) -> None:
    """For a model that reads it, of stored users and of histories in a body alike."""
    model = Recommender(timed_served(options=replace(OPTIONS, request_time=True)))
    now = START + 1e7
    with make_client(served=model, clock=lambda: now) as client:
        post(client, [as_json("u", event) for event in events_of(6)])
        stored = answered(client, "/v1/users/u/explanations/i9")
        (given,) = answered(client, "/v1/explanations", body_of(6, items=["i9"]))["explanations"]
    why = explain_history(model, replace(model.read(events_of(6)), at=now), model.item_id("i9"))
    assert why.sources["request_time"] != 0
    assert stored["sources"] == given["sources"] == pytest.approx(why.sources)


def test_interest_over_time_is_that_of_the_categories(client: TestClient, model: Recommender) -> None:
    found = answered(client, "/v1/interest", body_of(12))
    history = model.read(events_of(12))
    profile = category_profile_of(model, interest_over_time(model, history))
    assert found["of"] == "categories" and len(found["events"]) == 12 and found["events"][0]["date"]
    assert [each["item"] for each in found["events"]] == [model.served.items.tokens[i] for i in history.item_seq]
    for series in found["series"]:
        wanted = profile.values[:, profile.names.index(series["name"])].tolist()
        assert series["values"] == pytest.approx(wanted, abs=1e-5)
    ends = [series["values"][-1] for series in found["series"]]
    assert ends == sorted(ends, reverse=True) and len(ends) == 3


def test_interest_without_categories_is_that_of_the_best_items(make_client: MakeClient) -> None:
    served = timed_served()
    served.items.categories = [[]] * 301
    with make_client(served=Recommender(served)) as client:
        found = answered(client, "/v1/interest", body_of(6))
        best = answered(client, "/v1/recommendations", body_of(6, k=5))["items"]
    assert found["of"] == "items" and [line["name"] for line in found["series"]] == [item["title"] for item in best]
    assert [line["values"][-1] for line in found["series"]] == pytest.approx([item["score"] for item in best], abs=1e-3)


def test_what_cannot_be_explained(make_client: MakeClient) -> None:
    with make_client(max_events=700) as client:
        assert "no item 'none'" in problem(
            client.post("/v1/explanations", json=body_of(2, items=["none"])), 404, "unknown-item"
        )
        said = problem(
            client.post("/v1/explanations", json={"events": [{"item": "?"}], "items": ["i1"]}), 404, "unknown-user"
        )
        assert said == "The model knows none of the items of the events, so it cannot explain anything."
        for path, more in (("/v1/explanations", {"items": ["i1"]}), ("/v1/interest", {})):
            said = problem(client.post(path, json={"events": [{"item": "i1"}] * 701, **more}), 422, "invalid")
            assert said == "A request may have up to 700 events; got 701."
            said = problem(
                client.post(path, json={"events": [{"item": "i1", "behavior": "eat"}], **more}), 422, "invalid"
            )
            assert "eat" in said
        many = {"events": [{"item": "i1"}] * 600, "items": [f"i{n}" for n in range(20)]}
        said = problem(client.post("/v1/explanations", json=many), 422, "invalid")
        assert said.startswith("20 items can be explained for up to 457 events; got 600. Ask for fewer items")
