"""LRURec: the scan and the unit against a loop over complex numbers, the start of the recurrence, the size."""

import cmath
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from recbole_longinterest.plugin.baselines.lrurec import LinearRecurrentUnit, scan

Build = Callable[..., Any]


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 50])
def test_the_scan_is_the_recurrence(length: int) -> None:
    inputs = torch.randn(2, length, 3, dtype=torch.complex128)
    decay = torch.polar(torch.rand(3, dtype=torch.float64), 6 * torch.rand(3, dtype=torch.float64))
    state = torch.zeros(2, 3, dtype=torch.complex128)
    expected = []
    for step in range(length):
        state = decay * state + inputs[:, step]
        expected.append(state)
    torch.testing.assert_close(scan(inputs, decay), torch.stack(expected, dim=1))


def test_the_unit_is_its_equations_number_by_number() -> None:
    unit = LinearRecurrentUnit(4, 3, (0.5, 0.9)).double()
    x = torch.randn(1, 5, 4, dtype=torch.float64)
    with torch.no_grad():
        unit.log_gamma += 0.1  # it is learned, and no longer what it started as
        inward = unit.inward.weight.view(3, 2, 4), unit.inward.bias.view(3, 2)
        outward = unit.outward.weight.view(4, 3, 2)
        state = [0j, 0j, 0j]
        for t in range(5):
            y = unit.outward.bias.tolist()
            for k in range(3):
                fed = complex(*(inward[0][k] @ x[0, t] + inward[1][k]).tolist())
                decay = cmath.exp(complex(-math.exp(unit.log_nu[k]), math.exp(unit.log_theta[k])))
                state[k] = decay * state[k] + math.exp(unit.log_gamma[k]) * fed
                for d in range(4):
                    weight = complex(outward[d, k, 0].item(), -outward[d, k, 1].item())  # Re(C h) of C = a - ib
                    y[d] += (weight * state[k]).real
            assert unit(x)[0, t].tolist() == pytest.approx(y, rel=1e-9)


def test_the_recurrence_starts_on_its_ring_with_states_of_the_inputs_size() -> None:
    torch.manual_seed(0)
    unit = LinearRecurrentUnit(4, 4000, (0.8, 0.99))
    magnitude = unit.decay().abs()
    assert 0.8 <= magnitude.min() < 0.81 and 0.98 < magnitude.max() <= 0.99
    torch.testing.assert_close(unit.log_gamma.exp() ** 2, 1 - magnitude**2, rtol=1e-3, atol=1e-5)
    phase = unit.log_theta.exp()
    assert phase.max() <= 2 * math.pi and phase.mean().item() == pytest.approx(math.pi, abs=0.1)
    torch.nn.init.constant_(unit.log_nu, 8.0)
    assert unit.decay().abs().max() < 1  # for any value


def test_the_number_of_parameters(build: Build) -> None:
    model = build("LRURec", n_layers=2, hidden_size=8, state_size=16).model
    unit = 3 * 16 + (8 * 32 + 32) + (32 * 8 + 8)
    block = unit + (8 * 32 + 32) + (32 * 8 + 8) + 2 * 16
    items = model.n_items * 9  # with the item's bias
    assert sum(weights.numel() for weights in model.parameters()) == 2 * block + items + 16


def test_the_bias_of_an_item_is_in_its_score(build: Build) -> None:
    made = build("LRURec")
    made.model.eval()
    batch = next(iter(made.test))[0]
    before = made.model.full_sort_predict(batch)
    with torch.no_grad():
        made.model.item_bias[3] += 2
    change = made.model.full_sort_predict(batch) - before
    torch.testing.assert_close(change[:, 3], torch.full_like(change[:, 3], 2.0))
    assert change[:, [1, 2, 4]].abs().max() < 1e-5
