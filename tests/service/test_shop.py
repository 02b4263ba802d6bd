"""Strategies, rules, stock and clicks over HTTP; what they are by themselves is tested in tests/serving."""

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from recbole_longinterest.serving.canaries import write_checked
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.index.search import Indexed
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.rules import RulesFile
from recbole_longinterest.serving.strategies import Shop
from recbole_longinterest.serving.visitor import Visitor, clock
from tests.conftest import FakeEncoder
from tests.served import WITH_MEMORY
from tests.service.conftest import START, MakeClient, as_json, post, text_served, timed_served
from tests.service.test_app import events_of, problem

NAMES = ("interest", "similar", "together", "popular")  # that draw nothing
DAY = 86_400.0


@pytest.fixture(scope="module")
def remembering() -> Recommender:
    """A model with a memory, which most strategies can be had of."""
    return Recommender(timed_served(options=WITH_MEMORY))


@pytest.fixture(autouse=True)
def _looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of rules is looked at by each request."""
    monkeypatch.setattr(RulesFile.__init__, "__defaults__", (0.0,))


def write_rules(folder: Path, text: str) -> Path:
    """Put a file there in one step, whose time differs, however coarse the file system's clock is."""
    file = folder / "shop.yaml"
    before = file.stat().st_mtime_ns if file.exists() else 0
    new = folder / "shop.yaml.new"
    new.write_text(text)
    os.utime(new, ns=(before + 10**9, before + 10**9))
    new.replace(file)
    return file


def asked(client: TestClient, user: str = "u", **ask: Any) -> dict[str, Any]:
    """The recommendations of a user."""
    answer = client.get(f"/v1/users/{user}/recommendations", params=ask)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def asked_for(client: TestClient, events: list[Event], **ask: Any) -> dict[str, Any]:
    """The recommendations to a history."""
    body = {"events": [{k: v for k, v in as_json("", event).items() if k != "user"} for event in events], **ask}
    answer = client.post("/v1/recommendations", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def tokens(answer: dict[str, Any]) -> list[str]:
    return [item["item"] for item in answer["items"]]


def numbers(answer: dict[str, Any]) -> list[int]:
    return [int(token[1:]) for token in tokens(answer)]


def test_a_strategy_that_is_asked_for_is_that_of_the_shop(make_client: MakeClient, remembering: Recommender) -> None:
    events = events_of(80)
    shop = Shop(remembering)
    with make_client(served=remembering) as client:
        post(client, [as_json("u", event) for event in events])
        plain = asked(client)
        for name in NAMES:
            visitor = Visitor.of_history(remembering, remembering.read(events), clock(remembering, START))
            wanted = shop.recommend(visitor, 10, name)
            for answer in (asked(client, strategy=name), asked_for(client, events, strategy=name)):
                assert tokens(answer) == [item.item for item in wanted.items], name
                got = [item["score"] for item in answer["items"]]
                assert got == pytest.approx([item.score for item in wanted.items], rel=1e-4, abs=1e-4)
                assert {item["strategy"] for item in answer["items"]} == {name} and answer["basis"] == name
                assert answer["segment"] == "many" and answer["events"] == len(events)
        assert tokens(asked(client, strategy="interest")) == tokens(plain)
        mixed = asked(client, strategy="mix")
        assert mixed["basis"] == "mix" and {item["strategy"] for item in mixed["items"]} <= {*NAMES, "new"}
        assert asked(client, "nobody", strategy="interest")["problem"] == "no item is left that may be shown"
        metrics = client.get("/metrics").text.splitlines()
    assert 'recbole_li_recommended_items_total{strategy="similar"} 20.0' in metrics
    assert 'recbole_li_recommendations_total{basis="mix"} 1.0' in metrics


def test_a_state_of_the_store_gets_what_its_events_get(make_client: MakeClient) -> None:
    """Without a memory it does not keep the last items."""
    events = events_of(60)
    with make_client() as client:
        post(client, [as_json("u", event) for event in events[:58]])
        asked(client)
    with make_client() as client:
        for number in (58, 59, 60):
            post(client, [as_json("u", event) for event in events[:number]])
            for name in ("interest", "similar", "popular"):
                assert tokens(asked(client, strategy=name)) == tokens(
                    asked_for(client, events[:number], strategy=name)
                ), (name, number)
        assert 'recbole_li_states_total{source="kept"} 1.0' in client.get("/metrics").text


def test_many_ask_while_stock_rules_and_items_change(
    make_client: MakeClient, encoder: FakeEncoder, tmp_path: Path
) -> None:
    rules = write_rules(tmp_path, "deny: [i0]\nlimits: [{of: category, at_most: 5}]")
    with make_client(served=Recommender(text_served()), rules=rules, rate=0) as client:

        def ask(number: int) -> Any:
            user = f"u{number % 5}"
            if number % 4 == 0:
                item = f"i{number % 40}"
                return client.post("/v1/events", json={"user": user, "item": item, "time": START + number})
            if number % 4 == 1:
                return client.post("/v1/items/availability", json={f"i{number % 40}": number % 8 == 1})
            if number % 50 == 2:
                write_rules(tmp_path, f"deny: [i0, i{number % 40}]\ndiversity: {{weight: 0.3}}")
                return client.post("/v1/items", json={"items": [{"item_id": f"n{number}", "title": f"N {number}"}]})
            if number % 4 == 2:
                where = {"item": {"not": [f"i{number}"]}}
                return client.post("/v1/recommendations", json={"events": [{"item": "i3"}], "where": where})
            return client.get(f"/v1/users/{user}/recommendations")

        with ThreadPoolExecutor(6) as threads:
            answers = list(threads.map(ask, range(400)))
        assert {answer.status_code for answer in answers} == {200}
        assert not [answer for answer in answers if '"i0"' in answer.text and '"segment"' in answer.text]
        gone = {f"i{number % 40}" for number in range(400) if number % 8 == 5}
        assert not gone & set(tokens(asked_for(client, [], k=100)))


def test_a_strategy_that_there_is_not(make_client: MakeClient, model: Recommender) -> None:
    with make_client() as client:
        path = "/v1/users/u/recommendations?strategy="
        assert "strategy must be one of interest, similar" in problem(client.get(path + "other"), 422, "invalid")
        assert "text" in problem(client.get(path + "content"), 409, "no-strategy")
        body = {"events": [{"item": "i1"}], "strategy": "together"}
        assert problem(client.post("/v1/recommendations", json=body), 409, "no-strategy")


def test_rules_hold_in_every_answer(make_client: MakeClient, model: Recommender, tmp_path: Path) -> None:
    rules = write_rules(tmp_path, "deny: [i1, i4]\nhide: [{category: Comedy}]\nadult: {item: [i2, i5]}")
    events = events_of(30)
    with make_client(rules=rules) as client:
        post(client, [as_json("u", event) for event in events])
        answers = [
            asked(client, user, k=40, **more) for user in ("u", "nobody") for more in ({}, {"strategy": "popular"})
        ]
        answers += [asked(client, k=40, strategy=name) for name in ("mix", "interest", "similar")]
        answers += [asked_for(client, events[:number], k=40) for number in (0, 1, 30)]
        answers += [client.get("/v1/items/i7/similar?k=299").json()]
        for answer in answers:
            assert len(answer["items"]) >= 40
            assert not [number for number in numbers(answer) if number % 3 == 0 or number in (1, 2, 4, 5)]
        assert answers[0]["basis"] == "mix" and answers[0]["segment"] == "some"
        assert numbers(asked(client, "nobody", strategy="popular", adult=True, k=2)) == [2, 5]
        assert numbers(asked_for(client, [], adult=True, strategy="popular", k=2)) == [2, 5]
        assert client.get("/readyz").json() == {"status": "ready", "rules": "current"}


def test_a_condition_of_the_request(make_client: MakeClient) -> None:
    events = events_of(5)
    with make_client() as client:
        answer = asked_for(client, events, where={"category": ["War"]}, k=50)
        assert len(tokens(answer)) == 50 and all(number % 3 for number in numbers(answer))
        answer = asked_for(client, [], where={"category": "War"}, candidates=["i1", "i3", "i4"])
        assert numbers(answer) == [1, 4]
        assert numbers(asked_for(client, [], strategy="popular", candidates=["i9", "i8"], exclude=["i8"])) == [9]
        for more, said in (
            ({"where": {"colour": ["red"]}}, "items have no attribute 'colour', only item, category"),
            ({"where": {"category": {"max": 5}}}, "category has no numbers, so min and max cannot be used"),
            ({"where": {"category": {"min": "a"}}}, "where.category.min must be a number"),
            ({"where": {"item": "i1"}, "candidates": ["i1"]}, "candidates or a condition on item, not both"),
            ({"strategy": "popular", "exclude_seen": "no,such"}, "exclude_seen must be"),
        ):
            answer = client.post("/v1/recommendations", json={"events": [], **more})
            assert said in problem(answer, 422, "invalid")
        for where in ({}, {"a": {"other": 1}}, {"a": []}, {"a": None}):
            problem(client.post("/v1/recommendations", json={"events": [], "where": where}), 422, "invalid")


def test_a_rule_by_age_looks_at_the_stored_events(make_client: MakeClient, tmp_path: Path) -> None:
    rules = write_rules(tmp_path, "exclude: [{behavior: [buy], days: 30}]")
    now = START + 100 * DAY
    events = [Event(f"i{n}", None, "buy" if n % 2 else "view", now - (60 - n) * DAY) for n in range(60)]
    bought = {number for number in range(31, 60) if number % 2}
    with make_client(rules=rules, clock=lambda: now) as client:
        post(client, [as_json("u", event) for event in events])
        for answer in (
            asked(client, k=300, strategy="interest"),
            asked_for(client, events, k=300, strategy="interest"),
        ):
            assert set(range(300)) - set(numbers(answer)) == bought


def test_a_model_of_a_window(make_client: MakeClient, tmp_path: Path) -> None:
    events = events_of(30)
    served = Recommender(timed_served(history_limit=8))
    with make_client(served=served, rules=write_rules(tmp_path, "deny: [i1]")) as client:
        post(client, [as_json("u", event) for event in events])
        for name in ("interest", "similar", "popular"):
            answer = asked(client, strategy=name, k=50)
            assert tokens(answer) == tokens(asked_for(client, events, strategy=name, k=50)) and answer["events"] == 30
            assert not {"i1", *(event.item for event in events)} & set(tokens(answer))


def test_stock_is_said_and_holds_after_a_restart(make_client: MakeClient, model: Recommender, tmp_path: Path) -> None:
    (tmp_path / "sold.txt").write_text("i0\ni2\n")
    rules = write_rules(tmp_path, "out_of_stock: sold.txt\nmix: [{shares: {popular: 1}}]")
    with make_client(rules=rules) as client:
        assert numbers(asked(client, k=3)) == [1, 3, 4]
        answer = client.post("/v1/items/availability", json={"i0": True, "i1": False, "n9": False})
        assert answer.json() == {"items": 3, "unknown": ["n9"]}
        assert numbers(asked(client, k=3)) == [0, 3, 4]
        write_rules(tmp_path, "deny: [i3]\nmix: [{shares: {popular: 1}}]")  # rules of later are under it, too
        assert numbers(asked(client, k=3)) == [0, 2, 4]
    with make_client(rules=rules) as client:
        assert numbers(asked(client, k=3)) == [0, 2, 4]
        client.post("/v1/items/availability", json={"i1": True, "i0": False})
        assert numbers(asked(client, k=3)) == [1, 2, 4]
        for body in ({}, {"i1": 0}, {"i1": None}, {"": True}, ["i1"]):
            problem(client.post("/v1/items/availability", json=body), 422, "invalid")


def test_stock_without_rules(make_client: MakeClient, model: Recommender) -> None:
    """Answers stay what they are, but for the items."""
    events = events_of(20)
    with make_client() as client:
        post(client, [as_json("u", event) for event in events])
        before = {user: asked(client, user, k=6) for user in ("u", "nobody")}
        similar = client.get("/v1/items/i7/similar?k=6").json()
        gone = {before["u"]["items"][1]["item"], before["nobody"]["items"][0]["item"], similar["items"][2]["item"]}
        client.post("/v1/items/availability", json=dict.fromkeys(gone, False))
    with make_client() as client:
        for user, old in before.items():
            new = asked(client, user, k=6)
            left = [item for item in old["items"] if item["item"] not in gone]
            for got, wanted in zip(new["items"], left, strict=False):
                assert got.pop("score") == pytest.approx(wanted.pop("score"), rel=1e-4) and got == wanted
            assert len(new["items"]) == 6 and (new["basis"], new["segment"]) == (old["basis"], old["segment"])
            assert not gone & set(tokens(asked_for(client, events if user == "u" else [], k=20)))
        assert not gone & set(tokens(client.get("/v1/items/i7/similar?k=20").json()))
        client.post("/v1/items/availability", json=dict.fromkeys(gone, True))
        assert asked(client, "nobody", k=6)["items"][0]["item"] == "i0"


def test_rules_and_stock_follow_new_items(make_client: MakeClient, encoder: FakeEncoder, tmp_path: Path) -> None:
    import pandas as pd

    table = pd.DataFrame({"item_id": ["i1", "n1", "n2"], "price": [5, 7, 100]})
    table.to_csv(tmp_path / "items.csv", index=False)
    rules = write_rules(tmp_path, "items: {file: items.csv}\nhide: [{price: {min: 50}}]")
    new = [{"item_id": f"n{number}", "title": f"New {number}"} for number in (1, 2, 3)]
    with make_client(served=Recommender(text_served()), rules=rules) as client:
        post(client, [as_json("u", Event("i5", time=START))])
        client.post("/v1/items/availability", json={"n3": False, "i1": False})
        assert client.post("/v1/items", json={"items": new}).status_code == 200
        found = set(tokens(asked(client, k=100, strategy="interest")))
        assert found == set(tokens(asked_for(client, [Event("i5")], k=100, strategy="interest")))
        assert "n1" in found and not {"n2", "n3", "i1"} & found
        (tmp_path / "items.csv").write_text("nothing\n")
        said = problem(
            client.post("/v1/items", json={"items": [{"item_id": "n4", "title": "N"}]}), 409, "rules-unusable"
        )
        assert said.startswith("Nothing was changed, because the rules cannot be applied to the model: ")
        assert problem(client.get("/v1/items/n4/similar"), 404, "unknown-item")
        found = set(tokens(asked_for(client, [Event("i5")], k=100, strategy="interest")))
        assert "n1" in found and "n2" not in found  # as before


def test_new_items_beside_an_index(
    make_client: MakeClient, encoder: FakeEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("faiss")
    write_checked(text_served(), tmp_path / "m", index="ivf")
    used = []
    made = Indexed.best
    monkeypatch.setattr(Indexed, "best", lambda self, *more: used.append(1) or made(self, *more))
    rules = write_rules(tmp_path, "deny: [i1]")
    for _ in range(2):  # and after a restart
        with make_client(served=Recommender.load(tmp_path / "m"), rules=rules) as client:
            client.post("/v1/items", json={"items": [{"item_id": "n1", "title": "New"}]})
            found = tokens(asked_for(client, [Event("i5")], strategy="interest", k=100))
            assert set(found) == {"n1", *(f"i{number}" for number in range(40))} - {"i1", "i5"}
    assert used


def test_rules_that_turn_bad_leave_the_old_ones_in_force(make_client: MakeClient, tmp_path: Path) -> None:
    rules = write_rules(tmp_path, "deny: [i0]")
    with make_client(rules=rules) as client:
        assert client.get("/readyz").json()["rules"] == "current"
        write_rules(tmp_path, "deny: 5")
        assert client.get("/readyz").json() == {"status": "ready", "rules": "outdated"}
        assert numbers(asked(client, strategy="popular", k=2)) == [1, 2]
        write_rules(tmp_path, "deny: [i1]")
        assert numbers(asked(client, strategy="popular", k=2)) == [0, 2]
        assert client.get("/readyz").json()["rules"] == "current"


def test_clicks_are_learned_and_kept(make_client: MakeClient, tmp_path: Path) -> None:
    rules = write_rules(tmp_path, "mix: [{shares: {bandit: 1}, bandit: [popular, similar]}]")
    events = events_of(5)
    with make_client(rules=rules) as client:
        post(client, [as_json("u", event) for event in events])
        segment = asked(client)["segment"]
        given = {"segment": segment, "shown": {"popular": 1000, "similar": 1000}, "clicked": {"similar": 900}}
        learned = client.post("/v1/feedback", json=given).json()
        assert learned["segment"] == "few" and learned["strategies"]["similar"] == {
            "rate": pytest.approx(901 / 1021),
            "shown": 1000,
        }
        assert {item["strategy"] for item in asked(client)["items"]} == {"similar"}
        assert (
            'recbole_li_feedback_items_total{outcome="clicked",strategy="similar"} 900.0' in client.get("/metrics").text
        )
    with make_client(rules=rules) as client:
        assert {item["strategy"] for item in asked(client)["items"]} == {"similar"}
        again = client.post("/v1/feedback", json={"segment": "few", "clicked": {"popular": 1}}).json()
        assert again["strategies"]["popular"] == {"rate": pytest.approx(2 / 1021), "shown": 1000}
        said = problem(client.post("/v1/feedback", json={"segment": "few", "shown": {"other": 1}}), 422, "invalid")
        assert said.startswith("A strategy must be one of interest, similar") and "'other'" in said
        for bad in ({"segment": "all"}, {"shown": {"popular": -1}}, {"clicked": {"popular": 1001}}, {"more": 1}):
            problem(client.post("/v1/feedback", json={"segment": "few", **bad}), 422, "invalid")


def test_a_bandit_that_was_changed_in_the_store(make_client: MakeClient, tmp_path: Path) -> None:
    with make_client() as client:
        client.post("/v1/feedback", json={"segment": "few", "shown": {"popular": 1}})
    with sqlite3.connect(tmp_path / "events.sqlite") as store:
        store.execute("UPDATE documents SET content = '{}' WHERE name = 'bandit'")
    with (
        pytest.raises(ValueError, match="The store does not hold a bandit's counts, or was changed"),
        make_client(),
    ):
        pass
