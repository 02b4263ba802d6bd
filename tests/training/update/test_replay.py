"""Which rows an update trains on."""

import numpy as np
import pytest

from recbole_longinterest.data.event_keys import event_keys, token_keys
from recbole_longinterest.training.update.replay import choose_rows


def rows(users: int = 40, each: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    history = np.repeat(np.arange(users) * (each + 1), each)
    position = history + np.tile(np.arange(1, each + 1), users)
    return np.arange(users * each) % each >= each - 2, history, position  # each user's last two are new


def test_all_new_rows_and_about_as_many_old_ones_as_asked_for() -> None:
    new, history, position = rows()
    for ratio in (0.0, 1.0, 3.0):
        kept = choose_rows(new, history, position, 10, ratio, seed=1, least=0)
        assert set(np.flatnonzero(new)) <= set(kept)
        assert ratio * new.sum() <= (~new[kept]).sum() <= ratio * new.sum() + 10
    assert len(choose_rows(new, history, position, 10, 1e9, seed=1)) == len(new)


def test_a_few_new_rows_do_not_stand_alone() -> None:
    new, history, position = rows(users=200)
    new &= history < 31 * 3  # six of three users
    assert 2048 <= (~new[choose_rows(new, history, position, 10, 1.0, seed=1)]).sum() <= 2058
    assert 50 <= (~new[choose_rows(new, history, position, 10, 1.0, seed=1, least=50)]).sum() <= 60
    assert new[choose_rows(new, history, position, 10, 0.0, seed=1)].all()
    nothing = np.zeros_like(new)
    assert 2048 <= len(choose_rows(nothing, history, position, 10, 1.0, seed=1)) <= 2058
    assert len(choose_rows(nothing, history, position, 10, 0.0, seed=1)) == 0


def test_old_rows_are_drawn_in_whole_windows_and_by_the_seed() -> None:
    new, history, position = rows()
    first, again, other = (choose_rows(new, history, position, 10, 1.0, seed, least=0) for seed in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()
    windows = (history // 31) * 100 + (position - history) // 10
    drawn = set(windows[first[~new[first]]])
    assert set(np.flatnonzero(np.isin(windows, list(drawn)) & ~new)) == set(first[~new[first]])
    assert len(set(history[first[~new[first]]])) > 5  # of many users


def test_a_negative_share_is_refused() -> None:
    with pytest.raises(ValueError, match="replay must be a number of at least 0"):
        choose_rows(*rows(), 10, -1.0, seed=1)


def test_an_event_is_known_by_user_item_and_time() -> None:
    users, items, times = token_keys(["u", "u", "v", "u", "u"]), token_keys(["i", "j", "i", "i", "i"]), np.ones(5)
    times[3] = 1 + 2**-40
    keys = event_keys(users, items, times)
    assert len(set(keys)) == 4 and keys[0] == keys[4]
    swapped = event_keys(items[:1], users[:1], times[:1])
    assert swapped[0] != keys[0]
