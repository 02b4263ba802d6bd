"""Dense and sparse rankings give the same items, under every admission."""

import numpy as np
import pytest

from recbole_longinterest.serving.candidates import EVERYTHING, Admission, Dense, Sparse

N = 1000


def admissions(rng: np.random.Generator) -> list[Admission]:
    allowed = rng.random(N) < 0.5
    few = np.zeros(N, dtype=bool)
    few[[3, 5, 700]] = True
    boost = np.where(rng.random(N) < 0.2, np.log(3), 0).astype(np.float32)
    return [
        EVERYTHING,
        Admission(allowed),
        Admission(few),
        Admission(allowed, boost),
        Admission(None, boost, hidden=rng.integers(1, N, 50)),
        Admission(allowed, boost, hidden=np.array([3, 700]), only=rng.integers(1, N, 60)),
        Admission(only=np.arange(1, N, 2)),
    ]


def expected(scores: np.ndarray, admission: Admission, logits: bool, number: int) -> list[int]:
    """The best items by a loop over all of them."""
    found = []
    for item in range(1, N):
        if admission.allowed is not None and not admission.allowed[item]:
            continue
        if item in admission.hidden or (admission.only is not None and item not in admission.only):
            continue
        score = float(scores[item])
        if not logits and score <= 0:
            continue
        if admission.boost is not None:
            score = score + admission.boost[item] if logits else score * np.exp(admission.boost[item])
        found.append((-score, item))
    return [item for _, item in sorted(found)][:number]


@pytest.mark.parametrize("logits", [True, False])
def test_the_best_items_are_those_of_a_loop(logits: bool) -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=N).astype(np.float32)
    for admission in admissions(rng):
        for ranking in (Dense(scores, logits), Sparse(np.arange(N), scores, logits)):
            for number in (1, 10, N):
                ids, values = ranking.best(number, admission)
                assert ids.tolist() == expected(scores, admission, logits, number)
                assert (np.diff(values) <= 0).all()


def test_a_ranking_does_not_change_its_scores() -> None:
    scores = np.arange(N, dtype=np.float32)
    Dense(scores, True).best(5, Admission(np.arange(N) % 2 == 0, hidden=np.array([998])))
    assert scores.tolist() == list(range(N))


def test_scores_of_all_leave_out_items_that_are_no_candidates() -> None:
    scores = Sparse(np.array([4, 9]), np.array([0.5, 0.0], dtype=np.float32), logits=False).scores_of_all(12)
    assert np.flatnonzero(scores > -np.inf).tolist() == [4] and scores[4] == 0.5
