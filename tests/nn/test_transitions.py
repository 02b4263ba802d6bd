"""Counting of transitions: against a plain loop over the pairs of events."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from recbole_longinterest.nn import transitions
from recbole_longinterest.nn.transitions import BACKWARD, LAG_DECAY, LAGS, Transitions, count_transitions, lend


def log_of(histories: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    items = np.concatenate(histories)
    first = np.repeat(np.cumsum([0, *map(len, histories)][:-1]), list(map(len, histories)))
    return items, first


def by_loop(
    items: NDArray[np.int64],
    first: NDArray[np.int64],
    known: NDArray[np.bool_],
    wanted: NDArray[np.bool_],
    n_items: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight of every pair, and support, by the definition."""
    weight, support = np.zeros((n_items, n_items)), np.zeros(n_items)
    for place in range(len(items)):
        for later in range(place + 1, min(place + LAGS + 1, len(items))):
            if first[place] != first[later] or not (known[place] and known[later]):
                continue
            if later == place + 1 and wanted[later]:
                support[items[place]] += 1
            if items[place] == items[later]:
                continue
            decay = LAG_DECAY ** (later - place - 1)
            weight[items[place], items[later]] += decay * wanted[later]
            weight[items[later], items[place]] += BACKWARD * decay * wanted[place]
    return weight, support


def occurrences_by_loop(
    items: NDArray[np.int64], first: NDArray[np.int64], known: NDArray[np.bool_], wanted: NDArray[np.bool_]
) -> dict[tuple[int, int], int]:
    found: dict[tuple[int, int], int] = {}
    for place in range(len(items)):
        for later in range(place + 1, min(place + LAGS + 1, len(items))):
            pair = int(items[place]), int(items[later])
            if first[place] == first[later] and known[place] and known[later] and wanted[later] and pair[0] != pair[1]:
                found[pair] = found.get(pair, 0) + 1
    return found


def dense(table: Transitions) -> NDArray[np.float64]:
    weight = np.zeros((len(table.support), len(table.support)))
    np.add.at(weight, (np.arange(len(weight))[:, None], table.followers), table.counts)
    return weight


@pytest.mark.parametrize("first_item", [1, 3])
@pytest.mark.parametrize("pairs", [transitions.PAIRS, 200])
def test_counts_are_those_of_the_definition(monkeypatch: pytest.MonkeyPatch, pairs: int, first_item: int) -> None:
    monkeypatch.setattr(transitions, "PAIRS", pairs)  # a small one counts in many blocks
    monkeypatch.setattr(transitions, "EVENTS", min(transitions.EVENTS, pairs // 10))
    rng = np.random.default_rng(0)
    items, first = log_of([rng.integers(1, 30, length) for length in (1, 2, 40, 7, 25)])
    items[rng.random(len(items)) < 0.4] = first_item  # alone, it has more events than a block
    known, wanted = rng.random(len(items)) < 0.8, rng.random(len(items)) < 0.7
    for start in np.unique(first):  # what is known is the beginning of a history
        mine = first == start
        known[mine] = np.arange(mine.sum()) < 0.8 * mine.sum()
    table = count_transitions(items, first, known, wanted, 30, 29)
    weight, support = by_loop(items, first, known, wanted, 30)
    np.testing.assert_allclose(dense(table), weight, rtol=1e-5)
    np.testing.assert_array_equal(table.support, support)
    rows, places = np.nonzero(table.occurrences)
    counted = {
        (int(row), int(table.followers[row, place])): int(table.occurrences[row, place])
        for row, place in zip(rows, places, strict=True)
    }
    assert counted == occurrences_by_loop(items, first, known, wanted)


def test_the_heaviest_followers_are_kept_in_their_order() -> None:
    items, first = log_of([np.array([1, 2]), np.array([1, 3]), np.array([1, 3]), np.array([1, 4, 4])])
    known = np.ones(len(items), bool)
    table = count_transitions(items, first, known, known, 6, 2)
    assert table.followers[1].tolist() == [3, 4]
    np.testing.assert_allclose(table.counts[1], [2, 1 + LAG_DECAY])
    assert table.followers[5].tolist() == [0, 0]
    assert table.counts[5].tolist() == [0, 0]


def test_occurrences_stop_at_their_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transitions, "MANY", 2)
    items, first = log_of([np.array([1, 2])] * 3)
    known = np.ones(len(items), bool)
    assert count_transitions(items, first, known, known, 3, 2).occurrences[1].tolist() == [2, 0]


def test_nothing_known_is_an_empty_table() -> None:
    items, first = log_of([np.array([1, 2])])
    table = count_transitions(items, first, np.zeros(2, bool), np.ones(2, bool), 3, 4)
    assert not table.followers.any()
    assert not table.support.any()


def test_a_new_item_borrows_from_its_nearest_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transitions, "NEIGHBOURS", 2)
    table = Transitions(
        np.array([[0, 0, 0], [2, 0, 0], [1, 3, 0], [2, 0, 0], [0, 0, 0], [0, 0, 0]], np.int32),
        np.array([[0, 0, 0], [8, 0, 0], [4, 2, 0], [6, 0, 0], [0, 0, 0], [0, 0, 0]], np.float32),
        np.array([0, 10, 5, 7, 0, 0], np.float32),
        np.array([[0, 0, 0], [9, 0, 0], [3, 2, 0], [6, 0, 0], [0, 0, 0], [0, 0, 0]], np.int16),
    )
    vectors = np.array([[0, 0], [1, 0], [-1, 0], [1, 0], [3, 0], [0, 0]], np.float32)  # item 4 is like 1 and 3
    lend(table, vectors, np.array([4, 5]), np.array([1, 2, 3]))
    weight = dense(table)
    assert weight[4].tolist() == [0, 0, (8 + 6) / 2, 0, 0, 0]
    assert weight[:, 4].tolist() == [0, 0, (4 + 2) / 2, 0, 0, 0]
    assert table.support[4] == (10 + 7) / 2
    pairs = {(row, int(table.followers[row, place])) for row, place in zip(*np.nonzero(table.occurrences), strict=True)}
    assert pairs == {(1, 2), (2, 1), (2, 3), (3, 2)}, "lent transitions never occurred"
    assert weight[2, :4].tolist() == [0, 4, 0, 2] and weight[1, 2] == 8 and weight[3, 2] == 6
    assert not weight[5].any() and not weight[:, 5].any(), "an item without a vector borrows nothing"
