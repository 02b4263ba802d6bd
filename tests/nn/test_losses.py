"""Cross entropy in chunks equals torch's in less memory; the sampled softmax estimates it."""

from typing import Any

import pytest
import torch
from torch.nn import functional

from benchmarks.common import peak_bytes
from recbole_longinterest.nn import losses
from recbole_longinterest.nn.losses import chunked_cross_entropy, cross_entropy, sampled_softmax


def example(targets: int = 37, items: int = 50, dim: int = 8, scale: float = 1.0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    interest = (torch.randn(targets, dim, generator=generator) * scale).requires_grad_()
    table = torch.randn(items, dim, generator=generator).requires_grad_()
    return interest, table, torch.randint(items, (targets,), generator=generator)


@pytest.mark.parametrize("chunk", [1, 60, 500, 2**21])  # less than a row, one, some, all
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_loss_and_gradients_equal_torchs(monkeypatch: pytest.MonkeyPatch, chunk: int, scale: float) -> None:
    monkeypatch.setattr(cross_entropy, "CHUNK", chunk)
    monkeypatch.setattr(cross_entropy, "ROWS", 1)
    interest, items, target = example(scale=scale)
    loss = chunked_cross_entropy(interest, items, target)
    grads = torch.autograd.grad(loss * 3, (interest, items))
    expected = functional.cross_entropy(interest @ items.T, target)
    expected_grads = torch.autograd.grad(expected * 3, (interest, items))
    assert torch.allclose(loss, expected, rtol=1e-5)
    for got, wanted in zip(grads, expected_grads, strict=True):
        assert torch.allclose(got, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))


@pytest.mark.parametrize("chunk", [60, 2**21])
def test_what_is_added_to_repeated_items(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(cross_entropy, "CHUNK", chunk)
    monkeypatch.setattr(cross_entropy, "ROWS", 1)
    interest, items, target = example()
    bias = torch.tensor(-1.5, requires_grad=True)
    had = torch.rand(len(interest), len(items), generator=torch.Generator().manual_seed(2)) < 0.2
    had[5] = False  # a target with no item before it
    assert had[torch.arange(len(target)), target].any()  # some targets are repeats
    number = had.sum(dim=1)
    repeats = losses.Repeats(had.nonzero(as_tuple=True)[1], number.cumsum(dim=0) - number, number, bias)
    expected = functional.cross_entropy(interest @ items.T + bias * had, target)
    wanted = torch.autograd.grad(expected, (interest, items, bias))
    got = torch.autograd.grad(chunked_cross_entropy(interest, items, target, repeats), (interest, items, bias))
    for mine, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    every = torch.ones(len(items), dtype=torch.bool)
    sampled = sampled_softmax(interest, items, target, every, len(items), repeats)  # of all items: the same
    torch.testing.assert_close(sampled, expected)
    part = sampled_softmax(interest, items, target, every, 5, repeats)
    assert torch.isfinite(part) and torch.autograd.grad(part, bias)[0] != 0


def test_gradcheck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "CHUNK", 30)
    monkeypatch.setattr(cross_entropy, "ROWS", 1)
    interest, items, target = (tensor.detach() for tensor in example(targets=7, items=11, dim=3))
    inputs = (interest.double().requires_grad_(), items.double().requires_grad_())
    assert torch.autograd.gradcheck(lambda a, b: chunked_cross_entropy(a, b, target), inputs)


def test_half_precision_is_summed_in_float32() -> None:
    interest, items, target = example(scale=30.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = chunked_cross_entropy(interest.bfloat16(), items, target)
    assert loss.dtype == torch.float32
    expected = functional.cross_entropy(interest.bfloat16().float() @ items.T, target)
    assert torch.allclose(loss, expected, rtol=1e-5)


def test_no_gradient_is_made_when_none_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    interest, items, target = example()
    with torch.no_grad():
        loss = chunked_cross_entropy(interest, items, target)
    assert not loss.requires_grad
    made: list[torch.Tensor] = []
    select = torch.Tensor.index_select

    def noted(self: torch.Tensor, *args: Any) -> torch.Tensor:
        if self.is_floating_point():  # the bias' gradient
            made.append(self)
        return select(self, *args)

    monkeypatch.setattr(torch.Tensor, "index_select", noted)
    number = torch.zeros_like(target)
    number[0] = 1
    repeats = losses.Repeats(torch.tensor([1]), torch.zeros_like(target), number, torch.tensor(-1.0))
    frozen = chunked_cross_entropy(interest, items, target, repeats)
    assert frozen.requires_grad and not made
    frozen = chunked_cross_entropy(interest, items.detach(), target)
    assert torch.autograd.grad(frozen, interest)[0].shape == interest.shape


def test_memory_is_a_quarter_of_the_logits_at_most() -> None:
    interest, items, target = example(targets=2048, items=12_000, dim=64)
    logits = 2048 * 12_000 * 4
    ours = peak_bytes(lambda: chunked_cross_entropy(interest, items, target).backward())
    torchs = peak_bytes(lambda: functional.cross_entropy(interest @ items.T, target).backward())
    assert ours <= logits / 4
    assert torchs >= logits  # what is measured is what it says


def test_sampled_softmax_estimates_the_whole_without_bias() -> None:
    interest, items, target = example(targets=6, items=60, scale=0.3)
    candidates = torch.arange(60) > 0
    candidates[target] = True
    logits = interest @ items.T
    whole = logits.masked_fill(~candidates, -torch.inf)
    wanted = logits.gather(1, target.unsqueeze(1))
    torch.manual_seed(0)
    with torch.no_grad():
        one_each = []  # [times, T]: exp(loss) is the partition sum over the target's part
        for _ in range(3000):
            rows = [(interest[row : row + 1], target[row : row + 1]) for row in range(6)]
            one_each.append(torch.stack([sampled_softmax(one, items, its, candidates, 8) for one, its in rows]))
        estimates = torch.stack(one_each).exp().mean(dim=0)
        expected = (whole.logsumexp(dim=1) - wanted.squeeze(1)).exp()
    assert torch.allclose(estimates, expected, rtol=0.03)


def test_sampled_softmax_of_all_candidates_is_the_cross_entropy_over_them() -> None:
    interest, items, target = example(targets=37, items=50)
    candidates = torch.arange(50) % 7 > 0
    candidates[target] = True
    loss = sampled_softmax(interest, items, target, candidates, 50)
    expected = functional.cross_entropy((interest @ items.T).masked_fill(~candidates, -torch.inf), target)
    assert torch.allclose(loss, expected, rtol=1e-5)
    for got, wanted in zip(*(torch.autograd.grad(x, (interest, items)) for x in (loss, expected)), strict=True):
        assert torch.allclose(got, wanted, atol=1e-6)


def test_sampled_softmax_draws_candidates_only_and_as_many_as_asked_for() -> None:
    interest, items, _ = example(targets=5, items=40)
    target = torch.tensor([1, 1, 3, 1, 3])
    candidates = (torch.arange(40) < 20) & (torch.arange(40) > 0)
    sampled_softmax(interest, items, target, candidates, 4).backward()
    touched = items.grad.abs().sum(dim=1).nonzero().flatten().tolist()
    assert {1, 3} < set(touched) and set(touched) <= set(range(1, 20))
    assert len(touched) == 6


def test_sampled_softmax_without_another_candidate() -> None:
    interest, items, _ = example(targets=2, items=4)
    loss = sampled_softmax(interest, items, torch.tensor([1, 1]), torch.tensor([False, True, False, False]), 8)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert torch.isfinite(interest.grad).all()
