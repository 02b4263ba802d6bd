"""Metrics: what is counted, and that no text of a client becomes a label."""

import re

from recbole_longinterest.serving.recommender import Recommender
from tests.service.conftest import MakeClient, as_json, post, recommended
from tests.service.test_app import events_of


def test_what_was_done_is_counted(make_client: MakeClient, model: Recommender) -> None:
    with make_client() as client:
        events = [as_json("u", event) for event in events_of(20)]
        post(client, [*events, events[0], {"user": "u", "item": "never heard of"}])
        recommended(client, "u")
        recommended(client, "u")
        recommended(client, "nobody")
        client.delete("/v1/users/nobody")
        text = client.get("/metrics").text
    for line in (
        'recbole_li_events_total{outcome="accepted"} 21.0',
        'recbole_li_events_total{outcome="duplicate"} 1.0',
        'recbole_li_events_total{outcome="unknown_item"} 1.0',
        'recbole_li_recommendations_total{basis="interest"} 2.0',
        'recbole_li_recommendations_total{basis="popularity"} 1.0',
        'recbole_li_states_total{source="made"} 2.0',
        'recbole_li_requests_total{method="GET",route="/v1/users/{user}/recommendations",status="200"} 3.0',
        'recbole_li_request_seconds_count{route="/v1/events"} 1.0',
        "recbole_li_erased_users_total 1.0",
        "recbole_li_states_in_memory 1.0",
        f"recbole_li_items {model.n_items}.0",
        "recbole_li_requests_at_work 1.0",
    ):
        assert line in text.splitlines(), line
    assert re.search(r"recbole_li_commit_seconds_count [1-9]", text) and "process_resident_memory_bytes" in text


def test_no_text_of_a_client_is_a_label(make_client: MakeClient) -> None:
    with make_client() as client:
        for path in ("/who-am-i", "/v1/users/who-am-i", "/v1/items/who-am-i/similar", "/v1/items?query=who-am-i"):
            client.get(path)
            client.request("WHOAMI", path)
        post(client, [{"user": "who-am-i", "item": "who-am-i"}])
        text = client.get("/metrics").text
    assert "who-am-i" not in text and "WHOAMI" not in text
    assert 'recbole_li_requests_total{method="other",route="other",status="404"} 1.0' in text


def test_services_of_one_process_count_apart(make_client: MakeClient, tmp_path_factory: object) -> None:
    with make_client() as client:
        recommended(client, "u")
    with make_client() as client:
        assert "recbole_li_recommendations_total{" not in client.get("/metrics").text
