"""Queries on held-out items read what their users had before, and nothing else."""

import numpy as np
import pytest

from recbole_longinterest.data.transitions import CountedEvents
from recbole_longinterest.training.adapting import held_out as module
from recbole_longinterest.training.adapting.held_out import Queries, gain, queries_of, split_items


def events(*histories: list[int], unknown: int = 0) -> CountedEvents:
    items = np.array([item for history in histories for item in history])
    first = np.repeat(np.cumsum([0, *(len(history) for history in histories[:-1])]), [len(h) for h in histories])
    known = np.ones(len(items), bool)
    if unknown:
        known[-unknown:] = False
    return CountedEvents(items, first, known, known.copy())


def test_recent_items_are_of_the_user_before_the_event_and_not_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECENT", 2)
    log = events([1, 2, 5, 3, 4, 5], [5, 1, 6, 2, 5])
    held = np.zeros(8, bool)
    held[[5, 6]] = True
    has_text = np.ones(8, bool)
    has_text[4] = False
    found = queries_of(log, held, np.array([5]), has_text, np.random.default_rng(0))
    recent = found.recent.toarray()
    assert found.targets.tolist() == [0, 0, 0]  # the first event of the second user has nothing before it
    assert [row.nonzero()[0].tolist() for row in recent] == [[1, 2], [2, 3], [1, 2]]
    np.testing.assert_allclose(recent.sum(axis=1), 1)
    assert len(queries_of(events([1, 2, 5], [1, 5], unknown=1), held, np.array([5]), has_text, None).targets) == 1  # type: ignore[arg-type]


def test_hits_and_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "K", 1)
    log = events([1, 3], [2, 4], [1, 3])
    held = np.array([False, False, False, True, True])
    found = queries_of(log, held, np.array([3, 4]), np.ones(5, bool), np.random.default_rng(0))
    near = np.array([[0, 0], [1, 0], [0, 1], [1, 0.1], [0.1, 1]], np.float32)
    far = near[[0, 1, 2, 4, 3]]
    assert found.hits(near).all() and not found.hits(far).any() and found.recall(near) == 1
    won, low, high = gain(found, found.hits(far), found.hits(near))
    assert (won, low, high) == (1, 1, 1)
    same = near.copy()
    same[3:] = 1
    assert isinstance(found, Queries) and found.hits(same).all()  # two equal vectors share places 1 and 2


def test_two_sets_of_items() -> None:
    one, other = split_items(np.arange(1, 101), 0.1, np.random.default_rng(0))
    assert len(one) == len(other) == 10 and not set(one) & set(other)


def test_without_items_it_is_as_if_they_had_never_happened() -> None:
    left = events([1, 2, 3], [2, 1], [3, 1], unknown=1).without(np.array([False, False, True, False]))
    assert left.items.tolist() == [1, 3, 1, 3] and left.first.tolist() == [0, 0, 2, 3]
