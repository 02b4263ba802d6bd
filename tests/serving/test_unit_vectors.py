"""Cosines of items, whatever the lengths of their vectors."""

import pytest
import torch

from recbole_longinterest.serving.unit_vectors import UnitVectors


def test_the_nearest_are_those_at_the_smallest_angle() -> None:
    vectors = torch.tensor([[9.0, 9.0], [3.0, 0.0], [0.0, 0.1], [-2.0, 0.0], [0.0, 0.0], [5.0, 5.0]])
    units = UnitVectors(vectors)
    assert units.cosines(torch.tensor([2.0, 0.0])).tolist() == pytest.approx([0.5**0.5, 1, 0, -1, 0, 0.5**0.5])
    found = units.nearest(torch.tensor([2.0, 0.0]), 9)  # neither the padding nor the item without a direction
    assert [item for item, _ in found] == [1, 5, 2, 3]
    assert [score for _, score in found] == pytest.approx([1, 0.5**0.5, 0, -1])
    assert [item for item, _ in units.nearest(torch.tensor([2.0, 0.0]), 1, [1])] == [5]
