"""The time of a request in serving: histories and states agree, now is the default, and other models pass it over."""

import time
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.explain.methods import REQUEST
from recbole_longinterest.serving.model_folder import read_folder, write_folder
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.request_times import clock
from recbole_longinterest.serving.results import Recommendation
from recbole_longinterest.serving.state import InterestState, recommend_states
from recbole_longinterest.serving.strategies.held_out import hold_out
from recbole_longinterest.serving.visitor import Visitor
from tests.served import WITH_MEMORY, random_events, random_model, random_served

ASKED = replace(WITH_MEMORY, request_time=True)
TIMES = {"times": {"first": 1.5e9, "median": 1.6e9, "last": 1.7e9}}


def scores(found: Recommendation) -> list[tuple[str, float]]:
    return [(item.item, pytest.approx(item.score, abs=1e-4)) for item in found.items]


def later(number: int, seed: int = 0) -> list[Event]:
    return [replace(event, time=1.6e9 + event.time) for event in random_events(number, seed)]


def test_states_and_histories_are_asked_at_the_same_time_by_every_way(tmp_path: Path) -> None:
    write_folder(replace(random_served(ASKED), about=TIMES), tmp_path / "model")
    model = Recommender(read_folder(tmp_path / "model"))
    users = [later(12, seed) for seed in range(3)]
    states = []
    for events in users:
        state = model.start()
        for event in events:
            state.update(event)
        states.append(InterestState.from_bytes(model, state.to_bytes()))
    last = max(float(events[-1].time) for events in users)
    answers = []
    for at in (last, last + 10**7, last + 10**8):
        found = model.recommend_many(users, 5, at=at)
        answers.append(scores(found[0]))
        assert [scores(one) for one in recommend_states(states, 5, at=at)] == [scores(one) for one in found]
        assert scores(states[1].recommend(5, exclude_seen=False, at=at)) == scores(
            model.recommend(users[1], 5, exclude_seen=False, at=at)
        )
        history = model.read(users[0])
        one, other = Visitor.of_history(model, history, at), Visitor.of_state(states[0], history, at)
        assert torch.allclose(one.interest, other.interest, atol=1e-5)
        torch.testing.assert_close(one.interest, model.interest([replace(history, at=at)]))
    assert answers[0] != answers[1] != answers[2]
    date = datetime.fromtimestamp(last + 10**8, timezone.utc).isoformat()
    assert scores(model.recommend(users[0], 5, at=date)) == answers[2]


def test_now_is_the_time_of_a_request_that_says_none(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Recommender(replace(random_served(ASKED), about=TIMES))
    events = later(9)
    monkeypatch.setattr(time, "time", lambda: 1.65e9)
    now = model.recommend(events, 5)
    assert scores(now) == scores(model.recommend(events, 5, at=1.65e9)) == scores(model.recommend(events, 5, at=1.64e9))
    assert scores(now) != scores(model.recommend(events, 5, at=events[-1].time))
    before = model.recommend(events, 5, at=1.59e9)  # as by a clock that is slow
    assert scores(before) == scores(model.recommend(events, 5, at=events[-1].time))


def test_a_time_that_is_not_known_is_the_mean_of_the_trainings() -> None:
    numbered = replace(random_served(ASKED), about={"times": {"first": 0.0, "median": 5.0, "last": 9.0}})
    model = Recommender(numbered)  # whose times are no dates, so that there is no now
    assert np.isnan(clock(model))
    history = model.read([replace(event, time=place) for place, event in enumerate(random_events(9))])
    network = model.network
    assert network.request is not None
    raw = network.interest_after(
        torch.from_numpy(history.item_seq)[None],
        torch.tensor([9]),
        {name: value[None] for name, value in network.levels_of(history.values()).items()},
        model.items,
    )
    scale, shift = network.request.factor[1:].mean(dim=0), network.request.shift[1:].mean(dim=0)
    torch.testing.assert_close(model.interest([history]), raw * (1 + scale) + shift)
    asked = model._recommend([history], 5, True, None, False, ())[0]
    assert scores(asked) == scores(model._recommend([history], 5, True, None, False, (), at=float("nan"))[0])


def test_an_explanation_says_what_the_time_gives() -> None:
    model = Recommender(replace(random_served(ASKED), about=TIMES))
    events = later(6)
    for method in ("removal", "attention"):
        (first, *_) = model.recommend(events, 1, explain=method, at=1.65e9).items
        assert first.why is not None and first.why.sources[REQUEST] != 0
    (first, *_) = random_model().recommend(random_events(6), 1, explain=True).items
    assert first.why is not None and REQUEST not in first.why.sources


def test_held_out_events_are_asked_for_at_their_time() -> None:
    model = Recommender(replace(random_served(replace(ASKED, memory=False)), about=TIMES))
    histories = {str(seed): model.read(later(8, seed)) for seed in range(20)}
    ranks = hold_out(model, histories).ranks["interest"]
    for history, rank in zip(histories.values(), ranks, strict=True):
        before = replace(history.keep(slice(0, -1)), at=float(history.time[-1]))
        found = model.scores_of(model.interest([before]))[0]
        seen = set(before.item_seq.tolist()) - {int(history.item_seq[-1])}
        found[[0, *seen]] = -torch.inf
        assert rank == 1 + int((found > found[history.item_seq[-1]]).sum())


def test_other_models_pass_the_time_over_and_a_wrong_one_is_refused() -> None:
    plain = random_model()
    assert plain.recommend(random_events(6), 5, at=10**9) == plain.recommend(random_events(6), 5)
    with pytest.raises(LongInterestError, match="must be a number"):
        random_model(ASKED).recommend(random_events(6), 5, at="soon")
    model = Recommender(replace(random_served(ASKED), about=TIMES))
    with pytest.raises(LongInterestError, match=r"The request: the time, 1650000000000 for one, may be milliseconds"):
        model.recommend(later(6), 5, at=1.65e12)
