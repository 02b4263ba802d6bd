"""Ties of a log: which events are at one time, which targets are, and whether their items' ids ascend."""

import numpy as np
import pytest

from recbole_longinterest.common.ties import Ties, count_ties, leave_one_out, ranks_of_ids, ties_of


def test_neighbours_of_one_user_at_one_time_tie() -> None:
    users = np.array([0, 0, 0, 1, 1, 2])
    times = np.array([5.0, 5, 7, 7, 7, 7])  # the last of user 0 and the first of user 1 are no neighbours
    assert ties_of(users, times).tolist() == [False, True, False, False, True, False]
    assert ties_of(users[:0], times[:0]).tolist() == []


def test_targets_tie_with_either_neighbour() -> None:
    users = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    times = np.array([1.0, 2, 3, 3, 1, 1, 2, 3])
    valid, test = leave_one_out(users)
    assert (valid.tolist(), test.tolist()) == ([2, 6], [3, 7])
    counted = count_ties(users, times, np.array([0, 1, 3, 2, 0, 1, 2, 3]), valid, test)
    assert counted == Ties(neighbours=6, tied=2, ascending=1, valid=2, valid_tied=1, test=2, test_tied=1)
    assert counted.test_share == 0.5
    empty = np.zeros(0, dtype=np.int64)
    none = count_ties(empty, empty, empty, *leave_one_out(empty))
    assert none == Ties(0, 0, 0, 0, 0, 0, 0) and none.test_share == 0


def test_short_histories_have_no_target_as_in_recboles_split() -> None:
    users = np.repeat([0, 1, 2, 3], [1, 2, 3, 4])
    valid, test = leave_one_out(users)
    assert (valid.tolist(), test.tolist()) == ([8], [5, 9])


@pytest.mark.parametrize(
    ("ids", "order"),
    [
        (["10", "9", "100", "0009"[:1]], ["0", "9", "10", "100"]),  # numbers
        (["10", "9", "b", "a"], ["10", "9", "a", "b"]),  # texts, as soon as one is no number
        (["9" * 30, "1" + "0" * 30], ["9" * 30, "1" + "0" * 30]),  # of any length
    ],
)
def test_ids_are_ordered_as_numbers_if_all_are(ids: list[str], order: list[str]) -> None:
    ranks = ranks_of_ids(ids)
    assert [ids[place] for place in np.argsort(ranks)] == order


def test_the_sentence_says_what_can_be_learned() -> None:
    said = Ties(200, 100, 100, 20, 10, 20, 1).sentence()
    assert said == (
        "100 of 200 neighbouring events of a user are at one time (50 %), and so are 10 of 20 validation targets "
        "(50 %) and 1 of 20 test targets (5 %) with a neighbour. The items' ids ascend in 100 of these pairs (all), "
        "which a model can learn; a random order has about 50 %."
    )
    assert "in 48 of these pairs (48 %), as a random order may have." in Ties(200, 100, 48, 0, 0, 20, 0).sentence()
    assert "(under .1 %), and so are 0 of 5 test targets (none)" in Ties(9999, 3, 3, 0, 0, 5, 0).sentence()
    assert Ties(200, 0, 0, 1, 0, 1, 0).sentence() == "None of 200 neighbouring events of a user are at one time."
