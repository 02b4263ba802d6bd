"""Running attention: its definition, stability, precision."""

import pytest
import torch
from torch import Tensor

from recbole_longinterest.nn.attention import running_softmax_mean


def by_definition(scores: Tensor, values: Tensor) -> Tensor:
    """The O(L^2) definition in float64."""
    scores, values = scores.double(), values.double()
    rows = []
    for t in range(scores.shape[1]):
        weights = torch.softmax(scores[:, : t + 1], dim=1).unsqueeze(-1)  # [B, t, K, 1]
        rows.append((weights * values[:, : t + 1]).sum(dim=1))
    return torch.stack(rows, dim=1)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 64, 65, 200])
@pytest.mark.parametrize("block", [1, 8, 64])
def test_scan_equals_the_definition(length: int, block: int) -> None:
    torch.manual_seed(length)
    scores = 3 * torch.randn(2, length, 2, dtype=torch.float64, requires_grad=True)
    values = torch.randn(2, length, 2, 3, dtype=torch.float64, requires_grad=True)
    out, expected = running_softmax_mean(scores, values, block), by_definition(scores, values)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    probe = torch.randn_like(out)
    got = torch.autograd.grad((out * probe).sum(), (scores, values))
    want = torch.autograd.grad((expected * probe).sum(), (scores, values))
    torch.testing.assert_close(got, want, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("direction", ["rising", "falling", "alternating"])
def test_scores_from_minus_to_plus_ten_thousand_are_stable(direction: str) -> None:
    scores = torch.linspace(-1e4, 1e4, 500)
    if direction == "falling":
        scores = scores.flip(0)
    if direction == "alternating":
        scores = scores * torch.tensor([1.0, -1.0]).repeat(250)
    scores = scores.view(1, -1, 1).requires_grad_()
    values = torch.randn(1, 500, 1, 4, requires_grad=True)
    out = running_softmax_mean(scores, values)
    torch.testing.assert_close(out.double(), by_definition(scores, values), rtol=1e-4, atol=1e-4)
    out.sum().backward()
    assert scores.grad is not None and scores.grad.isfinite().all()
    assert values.grad is not None and values.grad.isfinite().all()


def test_sums_are_float32_under_autocast() -> None:
    torch.manual_seed(0)
    scores, values = torch.randn(1, 300, 1), torch.ones(1, 300, 1, 2, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = running_softmax_mean(scores, values)
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, torch.ones_like(out))  # a mean of ones; sums in bfloat16 would drift
