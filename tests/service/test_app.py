"""The requests of the service, one by one, as a client sees them."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.recommender import Recommender
from tests.served import random_events
from tests.service.conftest import START, MakeClient, as_json, assert_equals_batch, post, recommended, timed_served


def events_of(number: int, seed: int = 0) -> list[Event]:
    """Random events at times of the training's."""
    return [Event(e.item, e.rating, e.behavior, START + float(e.time or 0)) for e in random_events(number, seed)]


def problem(answer: Any, status: int, name: str) -> str:
    """Check that an answer is a problem; returns its detail."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    content = answer.json()
    assert content["type"] == f"urn:recbole-longinterest:problem:{name}" and content["status"] == status
    assert content["title"] and "Traceback" not in answer.text
    return str(content["detail"])


def test_events_are_stored_and_counted_in_the_next_answer(client: TestClient, model: Recommender) -> None:
    events = events_of(30)
    assert post(client, [as_json("u", event) for event in events[:20]]) == {
        "accepted": 20,
        "duplicates": 0,
        "unknown_items": 0,
    }
    assert_equals_batch(client, model, "u", events[:20])
    for event in events[20:]:  # one by one, by the other form of the body
        assert client.post("/v1/events", json=as_json("u", event)).json()["accepted"] == 1
        assert recommended(client, "u", 3)
    assert_equals_batch(client, model, "u", events)
    answer = client.get("/v1/users/u/recommendations?k=1").json()
    assert answer["basis"] == "interest" and answer["events"] == 30 and answer["model"] == model.fingerprint
    assert answer["items"][0]["strategy"] == "interest" and answer["items"][0]["title"].startswith("Title")


def test_a_user_without_events_gets_what_is_popular(client: TestClient) -> None:
    answer = client.get("/v1/users/nobody/recommendations?k=2&exclude=i0").json()
    assert [item["item"] for item in answer["items"]] == ["i1", "i2"] and answer["basis"] == "popularity"
    assert answer["items"][0]["strategy"] == "popularity"


def test_seen_items_are_left_out_as_asked(client: TestClient) -> None:
    post(client, [as_json("u", event) for event in events_of(40)])
    seen = {event.item for event in events_of(40)}
    by_default = [item for item, _ in recommended(client, "u", 300)]
    assert not seen & set(by_default) and len(by_default) == 300 - len(seen)
    all_items = client.get("/v1/users/u/recommendations?k=300&exclude_seen=none").json()["items"]
    assert len(all_items) == 300
    said = problem(client.get("/v1/users/u/recommendations?exclude_seen=nonsense"), 422, "invalid")
    assert said.startswith("exclude_seen must be")


def test_a_history_in_the_body_is_not_stored(client: TestClient, model: Recommender) -> None:
    events = events_of(12)
    given = [{name: value for name, value in as_json("", event).items() if name != "user"} for event in events]
    body = {"events": given, "k": 5, "exclude": ["i5"], "candidates": ["i5", "i6", 7]}
    answer = client.post("/v1/recommendations", json=body).json()
    wanted = model.recommend(events, 5, candidates=["i5", "i6", "7"], exclude=["i5"]).items
    assert [item["item"] for item in answer["items"]] == [item.item for item in wanted] == ["i6"]
    assert client.post("/v1/recommendations", json={"events": []}).json()["basis"] == "popularity"
    assert client.get("/v1/users/").status_code == 404
    said = problem(client.post("/v1/recommendations", json={"events": [], "candidates": ["x"]}), 422, "invalid")
    assert said == "The model knows none of the 1 candidates."


def test_similar_items_and_search(client: TestClient) -> None:
    answer = client.get("/v1/items/i7/similar?k=4").json()["items"]
    assert len(answer) == 4 and "i7" not in [item["item"] for item in answer]
    assert [item["score"] for item in answer] == sorted((item["score"] for item in answer), reverse=True)
    assert problem(client.get("/v1/items/none/similar"), 404, "unknown-item") == "The model has no item 'none'."
    assert client.get("/v1/items?query=title 7&k=1").json()["items"] == [
        {"item": "i7", "title": "Title <7>", "score": 1.0}
    ]
    said = problem(client.get("/v1/items?query=anything&by=text"), 409, "no-encoder")
    assert said == "This model has no text encoder, so items can only be found by title."


def test_an_explanation_says_what_the_library_says(client: TestClient, model: Recommender) -> None:
    events = events_of(6)
    post(client, [as_json("u", event) for event in events])
    answer = client.get("/v1/users/u/explanations/i200").json()
    (wanted,) = model.recommend(events, 1, candidates=["i200"], exclude_seen=False, explain=True).items
    assert wanted.why is not None
    assert answer["score"] == pytest.approx(wanted.score, abs=1e-5) and answer["method"] == "removal"
    shares = [event.share for event in wanted.why.events]
    assert [share["share"] for share in answer["events"]] == pytest.approx(shares, abs=1e-4)
    assert answer["events"][0]["date"] == wanted.why.events[0].date != ""
    assert problem(client.get("/v1/users/x/explanations/i2"), 404, "unknown-user")
    assert problem(client.get("/v1/users/u/explanations/zz"), 404, "unknown-item")
    post(client, [{"user": "v", "item": "never heard of"}])
    said = problem(client.get("/v1/users/v/explanations/i2"), 404, "unknown-user")
    assert said == "The model knows none of the user's items, so nothing can be explained."


def test_a_profile_and_an_erasure(make_client: MakeClient, tmp_path: Path) -> None:
    events = events_of(30)
    with make_client() as client:
        post(client, [as_json("forget-me", event) for event in events] + [{"user": "forget-me", "item": "zz"}])
        post(client, [as_json("other", event) for event in events])
        profile = client.get("/v1/users/forget-me").json()
        assert (profile["events"], profile["known"], len(profile["last"])) == (31, 30, 20)
        assert {each["name"] for each in profile["categories"]} == {"Comedy", "Drama", "War"}
        assert profile["last"][0]["item"] == events[-1].item
        recommended(client, "forget-me")
    with make_client() as client:  # its state was kept at the end of the first
        assert recommended(client, "forget-me")
        assert client.delete("/v1/users/forget-me").json() == {"events": 31}
        assert problem(client.get("/v1/users/forget-me"), 404, "unknown-user")
        assert client.get("/v1/users/forget-me/recommendations").json()["basis"] == "popularity"
        assert client.delete("/v1/users/forget-me").json() == {"events": 0}
        assert client.get("/v1/users/other").json()["events"] == 30
        for file in tmp_path.glob("events.sqlite*"):
            assert b"forget-me" not in file.read_bytes(), file
    for file in tmp_path.glob("events.sqlite*"):
        assert b"forget-me" not in file.read_bytes(), file


def test_ids_of_any_letters(client: TestClient, model: Recommender) -> None:
    events = events_of(3)
    for user, written in {
        "a/b": "a%2Fb",
        "ü?&#%2F": "%C3%BC%3F%26%23%252F",
        "x/recommendations": "x%2frecommendations",
    }.items():
        post(client, [as_json(user, event) for event in events])
        assert_equals_batch(client, model, written, events)
        assert client.get(f"/v1/users/{written}").json()["user"] == user
    assert problem(client.get("/v1/users/a%2Fb%1F"), 400, "bad-request") == "An id must not contain control characters."
    assert problem(client.get("/v1/users/a%0A"), 422, "invalid") == "An id must not contain control characters."


def test_an_event_without_a_time_is_of_now(make_client: MakeClient) -> None:
    now = [START]
    with make_client(clock=lambda: now[0]) as client:
        post(client, [{"user": "u", "item": "i1"}])
        now[0] += 86400
        assert post(client, [{"user": "u", "item": "i1"}])["accepted"] == 1  # again, which is no duplicate
        profile = client.get("/v1/users/u").json()
        assert [each["time"] for each in profile["last"]] == [START + 86400, START]
        assert profile["last"][1]["date"] == "2017-07-14"


def test_times_that_count_from_something_else_have_to_be_given(make_client: MakeClient) -> None:
    served = timed_served()
    served.about["times"] = {"first": 0.0, "median": 50.0, "last": 100.0}
    with make_client(served=Recommender(served)) as client:
        said = problem(client.post("/v1/events", json={"user": "u", "item": "i1"}), 422, "invalid")
        assert said.startswith("The event needs a time: the times of the training data do not count from 1970")
        assert post(client, [{"user": "u", "item": "i1", "time": 70}])["accepted"] == 1


def test_a_model_with_a_window_recommends_from_the_events(make_client: MakeClient) -> None:
    model = Recommender(timed_served(history_limit=5))
    events = events_of(20)
    with make_client(served=model) as client:
        post(client, [as_json("u", event) for event in reversed(events)])
        assert_equals_batch(client, model, "u", events)


def test_events_that_the_model_cannot_read_are_refused_with_their_place(client: TestClient) -> None:
    good = {"user": "u", "item": "i1", "time": START}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"time": 1.5e12}, "may be milliseconds"),
        ({"time": "2017-99-99"}, "must be a number or an ISO date"),
        ({"behavior": "dance"}, "behavior must be one of view, cart, buy; got 'dance'"),
    ]
    for changes, said in wrong:
        bad = {**good, **changes}
        answer = client.post("/v1/events", json={"events": [good, bad]})
        assert said in problem(answer, 422, "invalid")
        assert answer.json()["errors"][0]["at"] == "events/1"
    assert problem(client.get("/v1/users/u"), 404, "unknown-user")  # nothing was stored


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ('{"user": "u"}', "item"),
        ('{"user": "u", "item": "i1", "raiting": 3}', "raiting"),
        ('{"user": "", "item": "i1"}', "user"),
        ('{"user": "u\\u0000", "item": "i1"}', "user"),
        ('{"user": "u", "item": "\\ud800"}', "item"),
        ('{"user": true, "item": "i1"}', "user"),
        ('{"user": "u", "item": "i1", "rating": NaN}', "rating"),
        ('{"user": "u", "item": "i1", "rating": 1e999}', "rating"),
        ('{"user": "u", "item": "i1", "time": [1]}', "time"),
        ('{"user": "u", "item": "i1", "features": {"a": {"b": 1}}}', "features"),
        ('{"events": []}', "events"),
        ("[1]", "body"),
        ("null", "body"),
    ],
)
def test_bodies_of_another_form(client: TestClient, body: str, at: str) -> None:
    answer = client.post("/v1/events", content=body, headers={"content-type": "application/json"})
    assert at in problem(answer, 422, "invalid")
    assert at in answer.json()["errors"][0]["at"]


@pytest.mark.parametrize("body", ["{", '{"user": ' + "9" * 5000 + "}", "[" * 100_000, '"\\ud800'])
def test_bodies_that_are_no_json(client: TestClient, body: str) -> None:
    answer = client.post("/v1/events", content=body, headers={"content-type": "application/json"})
    assert problem(answer, 400, "bad-request")


def test_addresses_and_methods_that_are_not_there(client: TestClient) -> None:
    assert problem(client.get("/v2/events"), 404, "not-found")
    assert problem(client.put("/v1/events"), 405, "method-not-allowed")


def test_operation(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    page = client.get("/docs")
    assert "POST /v1/events" in page.text and "http" not in page.text.replace("http-equiv", "")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
