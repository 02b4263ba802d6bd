"""Visitors by history and by state know the same."""

import math
from dataclasses import replace

import numpy as np
import pytest

from recbole_longinterest.serving.events import Event, History
from recbole_longinterest.serving.exclusion import read_exclusion
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.visitor import Visitor, clock, segment_names, segment_of
from tests.served import KINDS, random_events, random_model, random_served


def test_a_state_and_a_history_make_the_same_visitor() -> None:
    model = random_model()
    events = random_events(12)
    history = model.read(events)
    state = model.start()
    for event in events:
        state.update(event)
    one, other = Visitor.of_history(model, history, 1.0), Visitor.of_state(state, history.last(3), 1.0)
    assert one.interest is not None and other.interest is not None
    assert np.allclose(one.interest, other.interest, atol=1e-5)
    assert (one.seen, one.events, one.segment) == (other.seen, other.events, other.segment)
    assert one.last_items(3).tolist() == other.last_items(9).tolist() == history.item_seq[::-1][:3].tolist()


def test_a_visitor_without_events_has_no_interest() -> None:
    model = random_model()
    for visitor in (Visitor.of_history(model, model.read([])), Visitor.of_state(model.start(), model.read([]))):
        assert visitor.interest is None and visitor.segment == "none" and not visitor.seen


def test_a_history_is_got_when_it_is_needed_and_once() -> None:
    model = random_model()
    events = random_events(30)
    history, state, got = model.read(events), model.start(), []
    for event in events:
        state.update(event)

    def get() -> History:
        got.append(1)
        return history

    visitor = Visitor.of_state(state, get, 1.0)
    newest = history.item_seq[::-1].tolist()
    assert visitor.last_items(5).tolist() == newest[:5] and visitor.seen == set(newest) and not got
    assert visitor.last_items(20).tolist() == newest[:20] and visitor.history is history and got == [1]
    short = model.start()
    short.update(events[0])
    assert len(Visitor.of_state(short, get, 1.0).last_items(5)) == 1 and got == [1]
    assert len(Visitor.of_state(model.start(), get, 1.0).last_items(5)) == 0 and got == [1]


def test_a_visitor_stays_while_its_state_goes_on() -> None:
    served = random_served()
    served.about["behaviors"] = {"targets": ["buy"], "names": list(KINDS), "map": {}}
    state = Recommender(served).start()
    state.update(Event("i1", behavior="buy"))
    visitor = Visitor.of_state(state, state.scorer.reader.read(["i1"]))
    state.update(Event("i2", behavior="buy"))
    exclusion = read_exclusion(["buy"], state.scorer.reader.behaviors)
    assert visitor.hidden_by(exclusion).tolist() == [2] and visitor.events == 1


def test_hidden_items_are_those_of_the_behaviours() -> None:
    served = random_served()
    served.about["behaviors"] = {"targets": ["buy"], "names": list(KINDS), "map": {}}
    model = Recommender(served)
    events = random_events(30)
    history, state = model.read(events), model.start()
    for event in events:
        state.update(event)
    exclusion = read_exclusion(["buy"], model.reader.behaviors)
    bought = {model.item_id(event.item) for event in events if event.behavior == "buy"}
    assert set(Visitor.of_history(model, history).hidden_by(exclusion).tolist()) == bought
    assert set(Visitor.of_state(state, history.last(1)).hidden_by(exclusion).tolist()) == bought
    everything = read_exclusion("all", model.reader.behaviors, [7])
    assert set(Visitor.of_state(state, history.last(1)).hidden_by(everything).tolist()) == {*state.seen, 7}


@pytest.mark.parametrize(
    ("events", "name"), [(0, "none"), (1, "one"), (2, "few"), (9, "few"), (10, "some"), (50, "many")]
)
def test_segments(events: int, name: str) -> None:
    assert segment_of(events) == name and name in segment_names()


def test_the_clock_has_the_unit_of_the_training() -> None:
    served = random_served()
    times = {"first": 1.6e12, "median": 1.7e12, "last": 1.75e12}
    milliseconds = Recommender(replace(served, about={**served.about, "times": times}))
    assert clock(milliseconds) == pytest.approx(1000 * clock(random_model()), rel=1e-4)
    assert clock(milliseconds, 5.0) == 5000 and clock(random_model(), 5.0) == 5
    counts = {"first": 1.0, "median": 5.0, "last": 9.0}
    assert math.isnan(clock(Recommender(replace(served, about={**served.about, "times": counts}))))
