"""Hard negatives are near, and never positives; a batch has them."""

import numpy as np
import pytest
import scipy.sparse as sp

from recbole_longinterest.text.adapting import mining
from recbole_longinterest.text.adapting.mining import batches_of_epoch, mine_negatives
from recbole_longinterest.text.adapting.positives import Positives


def test_the_nearest_that_are_no_positives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mining, "NEAREST", 1)
    monkeypatch.setattr(mining, "FARTHEST", 4)
    angles = np.deg2rad([0, 0, 10, 20, 30, 90, 5])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    never = sp.csr_array(([True], ([1], [3])), shape=(7, 7))
    found = mine_negatives(vectors, np.arange(1, 6), never)
    assert found[1].tolist() == [4, 5, 1]  # 2 is too near, 3 a positive, 6 may not be one; then none is left
    assert found[0].tolist() == [0, 0, 0] and found[6].tolist() == [6, 6, 6]


def test_every_anchor_about_once_with_a_positive_and_a_negative() -> None:
    pairs = [(1, 2), (2, 1), (3, 4), (4, 3)]
    row, column = np.array(pairs).T
    weights = sp.csr_array((np.ones(4, np.float32), (row, column)), shape=(7, 7))
    hard = np.tile(np.array([[5, 6]], np.int32), (7, 1))
    rng, lengths = np.random.default_rng(0), [0, 1, 2, 3, 4, 5, 6]
    batches = list(batches_of_epoch(Positives(weights, weights != 0), hard, 1, lengths, rng))
    anchors = [tuple(sorted(set(batch.tolist()) - {5, 6})) for batch in batches]
    assert sorted(anchors) == [(1, 2), (3, 4)]  # 2 came as the positive of 1, or 1 as that of 2
    for batch in batches:
        assert len(set(batch) & {5, 6}) == 1 and batch.tolist() == sorted(batch.tolist(), reverse=True)
