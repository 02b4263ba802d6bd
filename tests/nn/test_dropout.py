"""Dropout drops its share, scales the rest, and repeats with the random state."""

import pytest
import torch

from recbole_longinterest.nn.dropout import Dropout


@pytest.mark.parametrize("probability", [0.05, 0.3, 0.5, 0.95])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_each_number_is_dropped_with_its_probability_or_scaled(probability: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    number = 300_001  # no multiple of the four that share a draw
    dropped = Dropout(probability)(torch.ones(number, dtype=dtype))
    assert dropped.dtype == dtype
    kept = dropped != 0
    deviation = (probability * (1 - probability) / number) ** 0.5
    assert abs(float(kept.double().mean()) - (1 - probability)) < 5 * deviation
    torch.testing.assert_close(dropped[kept], torch.full_like(dropped[kept], 1 / (1 - probability)), rtol=0.01, atol=0)
    for distance in (1, 2, 3):  # neighbours do not fall together
        together = float((kept[:-distance] & kept[distance:]).double().mean())
        assert abs(together - (1 - probability) ** 2) < 10 * deviation


def test_gradients_pass_where_numbers_do() -> None:
    torch.manual_seed(0)
    numbers = torch.randn(7, 5, 3).abs().add(1).requires_grad_()
    dropped = Dropout(0.4)(numbers)
    (gradient,) = torch.autograd.grad(dropped.sum(), numbers)
    torch.testing.assert_close(gradient, (dropped / numbers).detach())
    assert (gradient == 0).any() and (gradient > 1).any()


def test_the_random_state_decides() -> None:
    numbers, layer = torch.ones(1000), Dropout(0.5)
    torch.manual_seed(3)
    first, second = layer(numbers), layer(numbers)
    torch.manual_seed(3)
    assert torch.equal(layer(numbers), first) and not torch.equal(first, second)


@pytest.mark.parametrize("probability", [0.0, 1e-6])
def test_nothing_is_dropped_in_evaluation_or_without_a_probability(probability: float) -> None:
    numbers = torch.randn(100)
    assert torch.equal(Dropout(0.5).eval()(numbers), numbers)
    assert torch.equal(Dropout(0.0)(numbers), numbers)
    torch.testing.assert_close(Dropout(probability)(numbers), numbers)


def test_all_may_be_dropped() -> None:
    assert not Dropout(1.0)(torch.ones(10)).any()


def test_a_probability_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="dropout probability has to be between 0 and 1"):
        Dropout(1.5)
