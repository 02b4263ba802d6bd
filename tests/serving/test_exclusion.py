"""What of a user's past is left out: by behaviour, by a list; the same from a history, a table and a state."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from recbole_longinterest.cli import main
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.model_folder import write_folder
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.state import InterestState, recommend_states, states_of
from tests.served import random_served

EVENTS = [
    Event("i1", behavior="view", time=1),
    Event("i2", behavior="cart", time=2),
    Event("i3", behavior="buy", time=3),
    Event("i4", time=4),
    Event("i5", behavior="buy", time=5),
    Event("i5", behavior="view", time=6),
    Event("i4", behavior="cart", time=7),
]
LEFT_OUT: list[tuple[Any, set[str]]] = [
    (True, {"i3", "i4", "i5"}),
    ("target", {"i3", "i4", "i5"}),
    ("all", {"i1", "i2", "i3", "i4", "i5"}),
    (False, set()),
    ("none", set()),
    ("view,cart", {"i1", "i2", "i4", "i5"}),
    (["cart"], {"i2", "i4"}),
    ({"buy", "view"}, {"i1", "i3", "i5"}),
]


def shop(**behaviors: Any) -> Recommender:
    served = random_served()
    served.about["behaviors"] = {"targets": ["buy"], "names": ["view", "cart", "buy"], "map": {}, **behaviors}
    return Recommender(served)


def seen_in(items: Any) -> set[str]:
    return {f"i{i}" for i in range(1, 6)} & {item.item for item in items}


@pytest.mark.parametrize(("exclude_seen", "left_out"), LEFT_OUT)
def test_the_past_is_left_out_by_behaviour(exclude_seen: Any, left_out: set[str]) -> None:
    model = shop()
    everything = {f"i{i}" for i in range(1, 6)} - left_out
    alone = model.recommend(EVENTS, 300, exclude_seen)
    assert seen_in(alone.items) == everything
    assert model.recommend_many({"a": EVENTS}, 300, exclude_seen)["a"] == alone
    table = pd.DataFrame([{"item_id": e.item, "behavior": e.behavior, "timestamp": e.time} for e in EVENTS])
    batch = model.recommend_batch(table, 300, exclude_seen)
    assert batch["item_id"].tolist() == [item.item for item in alone.items]
    states = [model.start(), InterestState.new(model), *states_of(model, [model.read(EVENTS)])]
    for event in EVENTS:
        states[0].update(event)
    states[1] = InterestState.from_bytes(model, states[0].to_bytes())
    for state in states:
        found = state.recommend(300, exclude_seen)
        assert [item.item for item in found.items] == [item.item for item in alone.items]
        assert [item.score for item in found.items] == pytest.approx([item.score for item in alone.items], abs=1e-4)


def test_scores_of_what_stays_have_the_repeat_bias() -> None:
    model = shop()
    shown = {item.item: item.score for item in model.recommend(EVENTS, 300).items}
    whole = {item.item: item.score for item in model.recommend(EVENTS, 300, False).items}
    assert "i1" in shown and shown == {item: whole[item] for item in shown}


def test_a_model_without_targets_leaves_out_the_whole_past() -> None:
    for model in (shop(targets=[]), Recommender(random_served())):
        assert (
            seen_in(model.recommend(EVENTS, 300).items)
            == seen_in(model.recommend(EVENTS, 300, "target").items)
            == set()
        )
        assert seen_in(model.recommend(EVENTS, 300, "view").items) == {"i2", "i3", "i4"}
        state = model.start()
        for event in EVENTS:
            state.update(event)
        assert len(state.to_bytes()) == state.nbytes + state.seen_nbytes and not state.seen_by
        with pytest.raises(ValueError, match="states of a model without target_behavior do not store behaviours"):
            state.recommend(5, "view")


def test_behaviours_have_the_names_of_the_file_or_of_the_training() -> None:
    served = random_served()
    served.sources = list(served.sources)
    served.sources[1] = replace(served.sources[1], settings={**served.sources[1].settings, "map": {"detail": "view"}})
    served.about["behaviors"] = {"targets": ["buy"], "names": ["view", "cart", "buy"], "map": {"detail": "view"}}
    model = Recommender(served)
    events = [Event("i1", behavior="detail"), Event("i3", behavior="buy")]
    for names in ("view", "detail", ["detail"]):
        assert seen_in(model.recommend(events, 300, names).items) == {"i2", "i3", "i4", "i5"}


def test_a_list_of_items_is_never_recommended() -> None:
    model = shop()
    best = [item.item for item in model.recommend(EVENTS, 10).items]
    rest = [item.item for item in model.recommend(EVENTS, 300).items if item.item not in best[:3]]
    left_out = [*best[:3], "no such item"]
    assert [item.item for item in model.recommend(EVENTS, 300, exclude=left_out).items] == rest
    table = pd.DataFrame([{"item_id": e.item, "behavior": e.behavior, "timestamp": e.time} for e in EVENTS])
    assert model.recommend_batch(table, 7, exclude=left_out)["item_id"].tolist() == rest[:7]
    (state,) = states_of(model, [model.read(EVENTS)])
    assert [item.item for item in state.recommend(7, exclude=left_out).items] == rest[:7]
    assert [item.item for item in state.recommend(7, "all", left_out).items] == [
        item.item for item in model.recommend(EVENTS, 7, "all", exclude=left_out).items
    ]
    with pytest.raises(ValueError, match="every item that may be recommended is in its history or excluded"):
        model.recommend(EVENTS, candidates=["i3", "i9"], exclude=["i9"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("wish", "exclude_seen must be True, False, target, all, none, or of the behaviours view, cart, buy; got wish"),
        (["view", "wish"], "got wish"),
        ([], r"got \[\]"),
        ("", "got ''|got \\[\\]"),
        (3, "got 3"),
        (None, "got None"),
    ],
)
def test_other_values_are_one_sentence(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shop().recommend(EVENTS, exclude_seen=given)
    with pytest.raises(ValueError, match=message):
        recommend_states([shop().start()], exclude_seen=given)


def test_the_command_takes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(shop().served, tmp_path / "m")
    rows = [f"{e.item},{e.behavior or ''},{e.time}\n" for e in EVENTS]
    (tmp_path / "h.csv").write_text("item_id,behavior,timestamp\n" + "".join(rows))
    (tmp_path / "x").write_text("i9\ni1\n")
    common = ["recommend", "-m", str(tmp_path / "m"), "--history", str(tmp_path / "h.csv"), "-k", "300"]
    ways = [([], 3), (["--exclude-seen", "all"], 5), (["--exclude-seen", "none"], 0), (["--include_seen"], 0)]
    for options, number in [*ways, (["--exclude-seen", "view,cart"], 4), (["--exclude", str(tmp_path / "x")], 5)]:
        assert main.main([*common, *options]) == 0
        assert capsys.readouterr().out.count("\n") == 1 + 300 - number
    assert main.main([*common, "--exclude-seen", "wish"]) == 2
    assert "of the behaviours view, cart, buy; got wish" in capsys.readouterr().err
