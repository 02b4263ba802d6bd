"""Cross entropy in chunks equals torch's in less memory; the sampled softmax estimates it."""

import pytest
import torch
from torch.nn import functional

from benchmarks.catalogue import peak_bytes
from recbole_longinterest.model import losses
from recbole_longinterest.model.losses import chunked_cross_entropy, sampled_softmax


def example(targets: int = 37, items: int = 50, dim: int = 8, scale: float = 1.0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    interest = (torch.randn(targets, dim, generator=generator) * scale).requires_grad_()
    table = torch.randn(items, dim, generator=generator).requires_grad_()
    return interest, table, torch.randint(items, (targets,), generator=generator)


@pytest.mark.parametrize("chunk", [1, 60, 500, 2**21])  # less than a row, one, some, all
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_loss_and_gradients_equal_torchs(monkeypatch: pytest.MonkeyPatch, chunk: int, scale: float) -> None:
    monkeypatch.setattr(losses, "CHUNK", chunk)
    interest, items, target = example(scale=scale)
    loss = chunked_cross_entropy(interest, items, target)
    grads = torch.autograd.grad(loss * 3, (interest, items))
    expected = functional.cross_entropy(interest @ items.T, target)
    expected_grads = torch.autograd.grad(expected * 3, (interest, items))
    assert torch.allclose(loss, expected, rtol=1e-5)
    for got, wanted in zip(grads, expected_grads, strict=True):
        assert torch.allclose(got, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))


def test_gradcheck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "CHUNK", 30)
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


def test_no_gradient_is_made_when_none_is_asked_for() -> None:
    interest, items, target = example()
    with torch.no_grad():
        loss = chunked_cross_entropy(interest, items, target)
    assert not loss.requires_grad
    frozen = chunked_cross_entropy(interest, items.detach(), target)
    assert torch.autograd.grad(frozen, interest)[0].shape == interest.shape


def test_memory_is_a_quarter_of_the_logits_at_most() -> None:
    interest, items, target = example(targets=2048, items=12_000, dim=64)
    logits = 2048 * 12_000 * 4
    ours = peak_bytes(lambda: chunked_cross_entropy(interest, items, target).backward())
    torchs = peak_bytes(lambda: functional.cross_entropy(interest @ items.T, target).backward())
    assert ours <= logits / 4
    assert torchs >= logits  # what is measured is what it says


def test_sampled_softmax_converges_to_the_whole() -> None:
    interest, items, target = example(targets=200, items=40, scale=0.3)
    log_count = torch.randint(1, 50, (40,), generator=torch.Generator().manual_seed(1)).float().log()
    expected = functional.cross_entropy(interest @ items.T, target)
    torch.manual_seed(0)
    with torch.no_grad():
        estimates = torch.stack([sampled_softmax(interest, items, target, log_count, 4000) for _ in range(20)])
    assert abs(float(estimates.mean()) - float(expected)) < 0.02


def test_sampled_softmax_draws_only_items_with_events_and_drops_accidental_hits() -> None:
    interest, items, _ = example(targets=5, items=4)
    target = torch.tensor([1, 1, 1, 1, 1])
    log_count = torch.tensor([0.0, 10.0, 0.0, 0.0]).log()  # only item 1 has events, and it is the target
    loss = sampled_softmax(interest, items, target, log_count, 8)
    assert float(loss.detach()) == 0.0  # no negative is left
    loss.backward()
    assert torch.isfinite(interest.grad).all() and (items.grad == 0).all()
