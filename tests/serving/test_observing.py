"""A served model with a memory of transitions: streams, bytes, explanations, and events that it observes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_longinterest import Recommender
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.memory import EVENTS
from recbole_longinterest.nn.shapes import ShapeError
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.model_folder import ExportError, write_folder
from recbole_longinterest.serving.state import InterestState, recommend_states, states_of
from tests.served import KINDS, N_ITEMS, WITH_MEMORY, random_model, random_served


@pytest.fixture
def model() -> Recommender:
    return random_model(WITH_MEMORY)


def events_of(seed: int, number: int = 25) -> list[Event]:
    rng = np.random.default_rng(seed)
    return [Event(f"i{rng.integers(N_ITEMS)}", rating=int(rng.integers(1, 6)), time=float(t)) for t in range(number)]


def same(one: list[object], other: list[object]) -> bool:
    return [item.item for item in one] == [item.item for item in other]


@pytest.mark.parametrize("number", [1, 3, 25])
def test_a_stream_recommends_as_the_whole_history_does(model: Recommender, number: int) -> None:
    events = events_of(0, number)
    state = model.start()
    for event in events:
        state.update(event)
    whole = model.recommend(events, k=20)
    (side_by_side,) = recommend_states(states_of(model, [model.read(events)]), 20)
    for found in (state.recommend(20), side_by_side):
        assert same(found.items, whole.items)
        assert [i.score for i in found.items] == pytest.approx([i.score for i in whole.items], rel=1e-4)
    network = model.network
    network.memory = None
    assert not same(model.recommend(events, k=20).items, whole.items)


def test_bytes_keep_the_last_items_without_the_seen_ones_too(model: Recommender) -> None:
    state = model.start()
    for event in events_of(1, 14):
        state.update(event)
    for seen in (True, False):
        again = InterestState.from_bytes(model, state.to_bytes(seen=seen))
        assert again.recent == state.recent and len(again.recent) == EVENTS
        assert (
            same(again.recommend(9, exclude_seen=seen).items, state.recommend(9, exclude_seen=seen).items) or not seen
        )
        assert len(state.to_bytes(seen=False)) < state.nbytes + 60
    data = bytearray(state.to_bytes())
    data[-90] ^= 1
    with pytest.raises(LongInterestError, match="cut short or changed"):
        InterestState.from_bytes(model, bytes(data))


def test_what_a_user_does_is_counted_for_all_at_once(model: Recommender) -> None:
    before = model.recommend(["i7"], k=N_ITEMS, exclude_seen=False)
    kept, fingerprint = InterestState.new(model).to_bytes(), model.fingerprint
    place = [item.item for item in before.items].index("i42")
    for _ in range(30):
        assert model.observe(["i7", "i42"], new=1) == 1
    after = model.recommend(["i7"], k=N_ITEMS, exclude_seen=False)
    assert [item.item for item in after.items].index("i42") < min(5, place)
    assert model.fingerprint == fingerprint
    assert InterestState.from_bytes(model, kept).events == 0


def test_only_events_of_known_items_are_counted(model: Recommender) -> None:
    assert model.observe(["i1", "nobody has this", "i2"]) == 2
    assert model.observe([]) == 0


@pytest.mark.parametrize("new", [-1, 3, 1.5, True])
def test_a_number_that_is_out_of_range(model: Recommender, new: object) -> None:
    with pytest.raises(LongInterestError, match=r"new must be a number from 0 to the 2 events; got"):
        model.observe(["i1", "i2"], new=new)


def test_a_model_without_a_memory_says_so() -> None:
    with pytest.raises(LongInterestError, match=r"no memory of transitions.*memory: on"):
        random_model().observe(["i1", "i2"])


def test_only_targets_are_counted_as_followers() -> None:
    served = random_served(WITH_MEMORY)
    served.about["behaviors"] = {"targets": ["buy"], "names": list(KINDS), "map": {}}
    model = Recommender(served)
    assert model.network.memory is not None
    counts = model.network.memory.counts.clone()
    model.observe([Event("i1", behavior="view"), Event("i2", behavior="view")])
    torch.testing.assert_close(model.network.memory.counts, counts)
    model.observe([Event("i1", behavior="view"), Event("i2", behavior="buy")])
    assert (model.network.memory.counts != counts).sum() == 1


def test_an_explanation_says_what_the_memory_gives(model: Recommender) -> None:
    events = events_of(2, 6)
    (found,) = model.recommend(events, k=1, explain=True).items
    assert found.why is not None
    assert "transitions" in found.why.sources
    with_memory = {share.item: share.share for share in found.why.events}
    model.network.memory = None
    (again,) = model.recommend(events, k=1, candidates=[found.item], explain=True).items
    assert again.why is not None
    assert "transitions" not in again.why.sources
    assert with_memory != pytest.approx({share.item: share.share for share in again.why.events})


def test_followers_that_are_no_items_are_refused(tmp_path: Path) -> None:
    served = random_served(WITH_MEMORY)
    served.weights["memory.followers"][3, 2] = N_ITEMS + 1
    write_folder(served, tmp_path / "model")
    with pytest.raises(ExportError, match=r"memory\.followers names items that are not among the 301"):
        Recommender.load(tmp_path / "model")
    del served.weights["memory.support"]
    with pytest.raises((ShapeError, ExportError), match=r"memory\.support is missing"):
        Recommender(served)


@pytest.mark.parametrize("mapped", [True, False])
def test_an_exported_memory_is_read_again_and_observing_leaves_the_file(tmp_path: Path, mapped: bool) -> None:
    served = random_served(WITH_MEMORY)
    write_folder(served, tmp_path / "model")
    model = Recommender.load(tmp_path / "model", mapped=mapped)
    first = model.recommend(["i7", "i9"], k=9)
    assert same(first.items, random_model(WITH_MEMORY).recommend(["i7", "i9"], k=9).items)
    for _ in range(50):
        model.observe(["i7", "i9", "i11"], new=1)
    assert same(Recommender.load(tmp_path / "model").recommend(["i7", "i9"], k=9).items, first.items)
