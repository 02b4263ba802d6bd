"""Events as they come: equal to the batch at every step, small, and kept as bytes that nothing else is taken for."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from recbole_longinterest.nn.options import ModelOptions
from recbole_longinterest.serving import scorer
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.state import HEADER, InterestState, recommend_states, states_of, update_states
from tests.served import DEFAULTS, N_ITEMS, OPTIONS, random_events, random_model


def outputs(model: Recommender, events: list[Event]) -> torch.Tensor:
    """Interest after every event, by the batch forward."""
    history = model.read(events)
    levels = {name: value[None] for name, value in model.network.levels_of(history.values()).items()}
    with torch.no_grad():
        return model.network(torch.from_numpy(history.item_seq)[None], levels, model.items)[0]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rnn_type": "GRU", "attention_heads": 4},
        {"num_layers": 2, "fusion": "gated"},
        {"attention": False},
        {"logits": "cosine", "residual": True},
    ],
)
def test_a_stream_equals_the_batch_at_every_step(changes: dict[str, Any]) -> None:
    model = random_model(ModelOptions(**{**vars(OPTIONS), **changes}))
    events = random_events(200)
    expected = outputs(model, events)
    state = model.start()
    for step, event in enumerate(events):
        assert state.update(event)
        torch.testing.assert_close(state.interest[0], expected[step], rtol=0, atol=1e-5)
    got, wanted = state.recommend(10).items, model.recommend(events, 10).items
    assert [item.item for item in got] == [item.item for item in wanted]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "spread"), [(10_000, 0.1), (2_000, 0.3)])
def test_ten_thousand_events_stay_equal(number: int, spread: float) -> None:
    """At the default sizes, to 1e-5 of the largest component; with larger weights a few events take all attention."""
    model = random_model(DEFAULTS, spread=spread)
    events = random_events(number)
    expected = outputs(model, events)
    state, worst = model.start(), 0.0
    for step, event in enumerate(events):
        state.update(event)
        worst = max(worst, float((state.interest[0] - expected[step]).abs().max()))
    assert worst < 1e-5 * max(1.0, float(expected.abs().max()))
    assert state.events == number and state.nbytes < 4096


def test_a_state_at_the_default_sizes_is_under_4_kb_without_its_seen_items() -> None:
    model = random_model(DEFAULTS)
    state = model.start()
    for event in random_events(50):
        state.update(event)
    assert state.nbytes == len(state.to_bytes(seen=False)) < 4096
    assert state.seen_nbytes == 4 * len({event.item for event in random_events(50)})
    assert len(state.to_bytes()) == state.nbytes + state.seen_nbytes


def test_bytes_give_the_state_back() -> None:
    model = random_model()
    events = random_events(40)
    state = model.start()
    for event in events[:20]:
        state.update(event)
    other = InterestState.from_bytes(model, state.to_bytes())
    assert other.seen == state.seen and other.events == 20 and other.last_time == state.last_time
    for event in events[20:]:
        state.update(event)
        other.update(event)
    assert torch.equal(other.interest, state.interest)
    assert other.recommend(7) == state.recommend(7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"", "are not an InterestState"),
        (lambda data: b"PK" + data[2:], "are not an InterestState"),
        (lambda data: data[:4] + b"\x01" + data[5:], "has version 1, but only versions 2 to 5 can be read"),
        (lambda data: data[:6] + b"\x00" * 8 + data[14:], "belongs to the model 0000000000000000"),
        (lambda data: data[:-1], "cut short or changed"),
        (lambda data: data[: HEADER.size], "cut short or changed"),
        (lambda data: data[:-4] + b"\xff" * 4, "cut short or changed"),
        (lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:], "cut short or changed"),
        (lambda data: None, "are not an InterestState"),
    ],
)
def test_other_bytes_are_refused(change: Callable[[bytes], bytes], message: str) -> None:
    model = random_model()
    state = model.start()
    state.update("i1")
    with pytest.raises(ValueError, match=message):
        InterestState.from_bytes(model, change(state.to_bytes()))


def test_a_state_of_items_that_the_model_has_not_is_refused() -> None:
    model = random_model()
    state = model.start()
    state.update("i1")
    state.seen.add(model.n_items + 1)
    with pytest.raises(ValueError, match="has items that its model does not have"):
        InterestState.from_bytes(model, state.to_bytes())


def test_many_users_are_updated_as_each_is_alone() -> None:
    model = random_model()
    streams = [random_events(12, seed) for seed in range(9)]
    together, alone = [model.start() for _ in streams], [model.start() for _ in streams]
    for step in range(12):
        assert update_states(together, [events[step] for events in streams]) == [True] * 9
        for state, events in zip(alone, streams, strict=True):
            state.update(events[step])
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.interest, other.interest, rtol=0, atol=1e-6)
    found = recommend_states(together, 5)
    assert [[item.item for item in part.items] for part in found] == [
        [item.item for item in state.recommend(5).items] for state in alone
    ]


def test_states_of_histories_are_those_of_their_events() -> None:
    model = random_model()
    streams = [random_events(number, number) for number in (5, 0, 17, 1, 17)]
    states = states_of(model, [model.read(events) for events in streams])
    for state, events in zip(states, streams, strict=True):
        alone = model.start()
        for event in events:
            alone.update(event)
        torch.testing.assert_close(state.interest, alone.interest, rtol=0, atol=1e-6)
        assert (state.seen, state.to_bytes()[18:34]) == (alone.seen, alone.to_bytes()[18:34])  # last time, events
        state.update(Event("i5", 2.0, "buy", 1e9))
        alone.update(Event("i5", 2.0, "buy", 1e9))
        torch.testing.assert_close(state.interest, alone.interest, rtol=0, atol=1e-6)


def test_unknown_items_change_nothing() -> None:
    model = random_model()
    states = [model.start(), model.start()]
    assert update_states(states, ["i1", "zz"]) == [True, False]
    before = states[0].to_bytes()
    assert states[0].update("zz") is False and states[0].to_bytes() == before
    with pytest.raises(ValueError, match="there was no event"):
        states[1].recommend()
    assert recommend_states(states)[1].problem


def test_events_out_of_order_are_refused_and_change_nothing() -> None:
    model = random_model()
    states = [model.start(), model.start()]
    update_states(states, [Event("i1", time=100), Event("i2", time=100)])
    before = [state.to_bytes() for state in states]
    with pytest.raises(ValueError, match=r"in time order: .*earlier than the user's last event at 100"):
        update_states(states, [Event("i3", time=200), Event("i4", time=50)])
    assert [state.to_bytes() for state in states] == before
    for wrong, message in (
        ([states[0], states[0]], "must be distinct"),
        ([states[0]], "Every state needs one event"),
        ([states[0], random_model(seed=1).start()], "of the same Recommender"),
    ):
        with pytest.raises(ValueError, match=message):
            update_states(wrong, ["i1", "i2"])


def test_seen_items_have_the_repeat_logit_in_every_way_to_recommend() -> None:
    model = random_model()
    events = random_events(15)
    bias = model.network.repeat_logit()
    assert bias is not None and abs(float(bias)) > 0.1
    state = model.start()
    for event in events:
        state.update(event)
    ways = [
        state.recommend(N_ITEMS, exclude_seen=False),
        recommend_states([state], N_ITEMS, exclude_seen=False)[0],
        model.recommend(events, N_ITEMS, exclude_seen=False),
    ]
    plain = model.scores_of(model.interest([model.read(events)]), recent=model.recent([model.read(events)]))[0]
    for found in ways:
        assert len(found.items) == N_ITEMS
        for item in found.items:
            number = model.item_id(item.item)
            expected = float(plain[number]) + (float(bias) if number in state.seen else 0.0)
            assert item.score == pytest.approx(expected, abs=1e-4)


def test_seen_items_are_left_out_however_many_there_are() -> None:
    model = random_model()
    state = model.start()
    for i in range(N_ITEMS - 3):
        state.update(f"i{i}")
    assert {item.item for item in state.recommend(10).items} == {f"i{i}" for i in range(N_ITEMS - 3, N_ITEMS)}
    assert len(state.recommend(10, exclude_seen=False).items) == 10
    with pytest.raises(ValueError, match="k must be"):
        state.recommend(0)


def test_who_has_had_everything_is_told_so_by_both_ways() -> None:
    model = random_model(n_items=2)
    state, events = InterestState.new(model), ["i0", "i1"]
    for event in events:
        state.update(event)
    for recommend in (state.recommend, lambda: model.recommend(events)):
        with pytest.raises(ValueError, match="every item that may be recommended is in its history"):
            recommend()
    for found in (recommend_states([state])[0], model.recommend({"u": events})["u"]):
        assert not found.items and found.problem == "every item that may be recommended is in its history"


def test_a_model_of_a_window_has_no_state() -> None:
    model = random_model()
    model.served.history_limit = 50
    with pytest.raises(ValueError, match="reads only the last 50 events"):
        model.start()


def test_a_long_history_is_encoded_in_chunks_to_the_same_interest(monkeypatch: pytest.MonkeyPatch) -> None:
    from recbole_longinterest.serving import scorer

    model = random_model()
    histories = [model.read(random_events(number)) for number in (90, 10)]
    whole = model.interest(histories)
    monkeypatch.setattr(scorer, "LONG", 20)
    monkeypatch.setattr(scorer, "CHUNK", 32)
    torch.testing.assert_close(model.interest(histories), whole, rtol=0, atol=1e-5)


def test_histories_of_unlike_lengths_are_encoded_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    from recbole_longinterest.serving import scorer

    model = random_model()
    histories = [model.read(random_events(number, number)) for number in (3, 90, 5, 1, 40)]
    whole = model.interest(histories)
    held = []
    encode = model.network.interest_after
    monkeypatch.setattr(model.network, "interest_after", lambda *args: held.append(args[0].numel()) or encode(*args))
    monkeypatch.setattr(scorer, "POSITIONS", 100)
    torch.testing.assert_close(model.interest(histories), whole, rtol=0, atol=1e-5)
    assert len(held) > 1 and max(held) <= 100


def test_many_states_are_scored_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model()
    states = [model.start() for _ in range(7)]
    update_states(states, [f"i{number}" for number in range(7)])
    found = [recommend_states(states, 5, exclude_seen) for exclude_seen in (True, False)]
    monkeypatch.setattr(scorer, "SCORES", 3 * (N_ITEMS + 1))
    assert model.scored_at_once == 3
    for exclude_seen, whole in zip((True, False), found, strict=True):
        parts = recommend_states(states, 5, exclude_seen)
        for one, other in zip(parts, whole, strict=True):
            assert [item.item for item in one.items] == [item.item for item in other.items]


def test_a_state_of_a_batch_does_not_keep_the_others() -> None:
    model = random_model()
    states = [model.start() for _ in range(50)]
    update_states(states, ["i1"] * 50)
    for part in (states[0].interest, *states[0].encoder):
        assert part.untyped_storage().nbytes() == part.numel() * part.element_size()
