"""Texts of similar length are encoded together, and a batch is divided so that its parts fit into memory."""

from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_longinterest.text.adapting import fit, tunable
from recbole_longinterest.text.adapting.fit import parts_of
from recbole_longinterest.text.adapting.tunable import TunedNetwork, groups_of
from tests.text.conftest import TEXTS, encoder


def bounds(slices: list[slice]) -> list[tuple[int, int]]:
    return [(each.start, each.stop) for each in slices]


def test_groups_have_similar_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunable, "TOGETHER", 2)
    assert bounds(groups_of(np.array([40, 9, 9, 8, 6, 3, 3]))) == [(0, 2), (2, 4), (4, 6), (6, 7)]
    assert bounds(groups_of(np.array([5]))) == [(0, 1)]


def test_parts_keep_both_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "TOKENS", 10)
    assert bounds(parts_of(np.array([12, 6, 4, 1, 1, 1, 1]), 3)) == [(0, 1), (1, 3), (3, 6), (6, 7)]
    assert bounds(parts_of(np.array([1, 1]), 5)) == [(0, 2)]


def test_vectors_are_in_the_order_of_the_items(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunable, "TOGETHER", 1)
    network = TunedNetwork(encoder(tiny_bert).load(), TEXTS, "full")
    network.module.eval()
    items = [3, 0, 4, 1, 3]
    lengths = network.tokens(items)
    assert len(set(lengths.tolist())) > 1
    with torch.no_grad():
        np.testing.assert_allclose(
            network.vectors(items), encoder(tiny_bert).encode([TEXTS[i] for i in items]), atol=1e-5
        )
