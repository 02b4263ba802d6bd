"""A state made of a whole history is that of its events one by one."""

from typing import Any

import pytest
import torch

from recbole_longinterest.nn.options import ModelOptions
from recbole_longinterest.serving import rebuilt
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.rebuilt import state_after, take_in
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.state import states_of
from tests.served import OPTIONS, random_events, random_model, random_served

CHANGES: list[dict[str, Any]] = [
    {},
    {"rnn_type": "GRU", "attention_heads": 4},
    {"num_layers": 2, "fusion": "gated"},
    {"attention": False},
    {"memory": True, "memory_size": 8},
]


@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("chunk", [7, 4096])
def test_it_is_the_state_of_a_stream(changes: dict[str, Any], chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilt, "CHUNK", chunk)
    model = random_model(ModelOptions(**{**vars(OPTIONS), **changes}))
    history = model.read(random_events(100))
    made, (streamed,) = state_after(model, history), states_of(model, [history])
    for one, other in zip((*made.encoder, made.interest), (*streamed.encoder, streamed.interest), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    for name in ("events", "last_time", "recent", "seen", "seen_by", "user"):
        assert getattr(made, name) == getattr(streamed, name)
    for event in random_events(130)[100:]:  # both go on alike
        assert made.update(event) == streamed.update(event)
    torch.testing.assert_close(made.interest, streamed.interest, rtol=1e-5, atol=1e-5)
    assert len(made.to_bytes()) == len(streamed.to_bytes())


def test_seen_items_by_behaviour() -> None:
    served = random_served()
    served.about = {"behaviors": {"names": ["view", "buy"], "targets": ["buy"], "map": {}}}
    model = Recommender(served)
    history = model.read([{"item": f"i{number}", "behavior": ["view", "buy", None][number % 3]} for number in range(9)])
    made, (streamed,) = state_after(model, history), states_of(model, [history])
    assert made.seen_by == streamed.seen_by and set(made.seen_by) == {"view", "buy", ""}


def test_an_empty_history_and_a_window() -> None:
    model = random_model()
    assert state_after(model, model.read([])).events == 0
    served = random_served()
    served.history_limit = 5
    model = Recommender(served)
    with pytest.raises(ValueError, match="This model reads only the last 5 events"):
        state_after(model, model.read(["i1"]))


def test_events_in_parts_are_those_one_by_one() -> None:
    model = random_model()
    events = random_events(60)
    events[17] = Event("unknown", 1.0, None, events[17].time)
    streamed, made = model.start(), model.start()
    for begin, end in ((0, 1), (1, 2), (2, 30), (30, 30), (30, 60)):
        skipped = sum(not streamed.update(event) for event in events[begin:end])
        assert take_in(made, reversed(events[begin:end])) == skipped  # sorted by time
        assert made.events == streamed.events and made.seen == streamed.seen
        torch.testing.assert_close(made.interest, streamed.interest, rtol=1e-5, atol=1e-5)
    before = made.to_bytes()
    with pytest.raises(ValueError, match=r"Events must be in time order: one at \d+ is earlier"):
        take_in(made, events[:3])
    with pytest.raises(ValueError, match="behavior must be one of"):
        take_in(made, [{"item": "i1", "behavior": "dance"}])
    assert made.to_bytes() == before
