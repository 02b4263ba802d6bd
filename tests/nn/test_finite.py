"""Weights that are NaN or infinite are found, and nothing else is."""

import math

import pytest
import torch

from recbole_longinterest.nn.finite import NotFinite, NotFiniteError, check_finite, not_finite


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_one_value_in_many_is_found(value: float, dtype: torch.dtype) -> None:
    table = torch.zeros(100, 7, dtype=dtype)
    table[31, 4] = value
    assert not_finite({"whole": torch.ones(3), "table": table}) == [NotFinite("table", 1, 700)]


def test_infinities_that_cancel_are_found() -> None:
    assert not_finite({"a": torch.tensor([math.inf, 1.0, -math.inf])}) == [NotFinite("a", 2, 3)]


def test_large_numbers_are_finite() -> None:
    """Their sum is not."""
    assert not_finite({"a": torch.full((10,), 3e38), "b": torch.full((9,), -6e4, dtype=torch.float16)}) == []


def test_other_values_are_passed_over() -> None:
    weights = {"rows": torch.arange(4), "none": torch.zeros(0, 3), "flags": torch.ones(2, dtype=torch.bool), "n": 3}
    assert not_finite(weights) == []
    check_finite(weights, "The model")


def test_the_error_names_tensors_and_their_number() -> None:
    weights = {f"w{number}": torch.tensor([math.nan, 1.0]) for number in range(5)}
    with pytest.raises(NotFiniteError, match=r"^The export x holds .*w0 \(1 of 2 values\).* and 2 more tensors"):
        check_finite(weights, "The export x")
