"""Ranks of held-out events: those of a count, and a planted strategy wins."""

from pathlib import Path

import numpy as np
import pytest

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.strategies.held_out import hold_out, rank_of
from recbole_longinterest.serving.visitor import Visitor
from tests.serving.strategies.shops import N, events_of, model_with_texts

MODEL = model_with_texts()


def test_rank_among_items_that_are_not_hidden() -> None:
    scores = np.array([9, 1, 5, 3, 3, 3, -np.inf], dtype=np.float32)  # row 0 is the padding
    assert rank_of(2, scores, frozenset()) == 1
    assert rank_of(3, scores, frozenset()) == 3  # 2, 3 and 4 share
    assert rank_of(3, scores, frozenset({2, 5})) == 1.5
    assert rank_of(1, scores, frozenset({2})) == 4
    assert rank_of(6, scores, frozenset()) == np.inf


def test_ranks_are_those_of_the_models_own_scores() -> None:
    histories = {user: MODEL.read(events_of(15, user)) for user in range(12)}
    found = hold_out(MODEL, histories)
    for place, history in enumerate(histories.values()):
        before, target = history.keep(slice(0, -1)), int(history.item_seq[-1])
        visitor = Visitor.of_history(MODEL, before)
        assert visitor.interest is not None
        scores = MODEL.scores_of(visitor.interest, [visitor.seen])[0]
        scores[[0, *(visitor.seen - {target})]] = -float("inf")
        above, equal = int((scores > scores[target]).sum()), int((scores == scores[target]).sum())
        assert found.ranks["interest"][place] == pytest.approx(1 + above + (equal - 1) / 2, abs=1.01)
    assert found.events.tolist() == [14] * 12 and not found.missing and found.left_out == 0
    assert found.popularity is not None
    assert found.popularity.tolist() == [MODEL.served.items.recent[h.item_seq[-1]] for h in histories.values()]
    assert set(found.ranks) == {"interest", "similar", "content", "together", "popular", "new", "mix"}
    assert all(((ranks >= 1) & ((ranks <= N) | np.isinf(ranks))).all() for ranks in found.ranks.values())


def test_pairs_that_repeat_are_found_by_together_and_held_out_events_are_not_counted() -> None:
    """Each even item is followed by the next one; half the users end in such a pair."""
    rng = np.random.default_rng(0)
    histories = {}
    for user in range(40):
        firsts = 2 * rng.permutation(20)[:6]
        histories[user] = MODEL.read([f"i{item + step}" for item in firsts for step in (0, 1)])
    ranks = hold_out(MODEL, histories).ranks
    assert (ranks["together"] <= 3).mean() > 0.8 and (ranks["interest"] <= 3).mean() < 0.5
    alone = {user: MODEL.read([f"i{2 * user}", f"i{2 * user + 1}"]) for user in range(20)}
    assert np.isinf(hold_out(MODEL, alone).ranks["together"]).all()  # the only pair is the held-out one


def test_a_user_of_one_event_has_nothing_before_it() -> None:
    found = hold_out(MODEL, {"a": MODEL.read(["i0"]), "b": MODEL.read([]), "c": MODEL.read(["unknown"])})
    assert found.events.tolist() == [0]
    assert found.ranks["popular"].tolist() == [1] and np.isinf(found.ranks["interest"]).all()


def test_users_beyond_the_limit_are_left_out_at_random() -> None:
    histories = {user: MODEL.read(events_of(5, user)) for user in range(30)}
    found = hold_out(MODEL, histories, users=10)
    assert len(found.events) == 10 and found.left_out == 20
    again, other = hold_out(MODEL, histories, users=10), hold_out(MODEL, histories, users=10, seed=1)
    assert found.ranks["interest"].tolist() == again.ranks["interest"].tolist()
    assert found.ranks["interest"].tolist() != other.ranks["interest"].tolist()


def test_a_mix_of_rules(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text("mix: [{shares: {popular: 1}}]")
    histories = {user: MODEL.read(events_of(5, user)) for user in range(20)}
    ranks = hold_out(MODEL, histories, tmp_path / "shop.yaml").ranks
    near = ranks["popular"] <= 10
    assert near.any() and ranks["mix"][near].tolist() == ranks["popular"][near].tolist()
    assert np.isinf(ranks["mix"][~near]).all()


def test_no_event_is_an_error() -> None:
    with pytest.raises(LongInterestError, match="No user has an event with an item that the model knows"):
        hold_out(MODEL, {"a": MODEL.read([Event("unknown")])})
