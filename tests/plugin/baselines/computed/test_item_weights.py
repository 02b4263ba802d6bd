"""The closed forms' solver, and weights that are kept in part."""

import numpy as np
import pytest
import torch

from recbole_longinterest.plugin.baselines.computed import item_weights
from recbole_longinterest.plugin.baselines.computed.item_weights import ItemWeights, factor, inverse, solve


def positive(size: int) -> np.ndarray:
    made = np.random.default_rng(size).standard_normal((size, size))
    return made @ made.T


@pytest.mark.parametrize("size", [1, 7, 300])  # one block of columns, and several
def test_the_solver_gives_what_numpy_gives(size: int) -> None:
    gram, right = positive(size), np.random.default_rng(0).standard_normal((size, size))
    whole = gram + 2.5 * np.eye(size)
    assert np.allclose(inverse(gram.copy(), 2.5), np.linalg.inv(whole), rtol=0, atol=1e-9)
    assert np.allclose(solve(gram.copy(), right.copy(), 2.5), np.linalg.solve(whole, right), rtol=0, atol=1e-9)


def test_counts_without_an_inverse_are_refused() -> None:
    with pytest.raises(ValueError, match=r"reg_weight 1e-300 is too small for the counts of these data\. Raise it\."):
        factor(np.full((2, 2), 9.0), 1e-300)


@pytest.mark.parametrize("kept", [None, 4])
@pytest.mark.parametrize("entries", [1, 10, 10**6])
def test_scores_do_not_depend_on_the_parts(monkeypatch: pytest.MonkeyPatch, kept: int | None, entries: int) -> None:
    weights = ItemWeights(np.random.default_rng(1).standard_normal((9, 9)), kept)
    items = torch.tensor([[3, 4, 3, 0], [8, 0, 0, 0], [0, 0, 0, 0]])
    weight = torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = weights.scores(items, weight)
    monkeypatch.setattr(item_weights, "ENTRIES", entries)
    assert torch.allclose(weights.scores(items, weight), expected, rtol=0, atol=1e-14)
    assert torch.equal(expected[2], torch.zeros(9, dtype=torch.float64))


def test_a_checkpoint_holds_the_weights() -> None:
    made = ItemWeights(np.random.default_rng(1).standard_normal((9, 9)), 3)
    other = ItemWeights(np.random.default_rng(2).standard_normal((9, 9)), 3)
    other.load_state_dict(made.state_dict())
    items, weight = torch.arange(1, 9).unsqueeze(0), torch.ones(1, 8, dtype=torch.float64)
    assert torch.equal(other.scores(items, weight), made.scores(items, weight))
