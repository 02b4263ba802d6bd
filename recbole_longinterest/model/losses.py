"""Cross entropy over a large catalogue: without its logits in memory, or over a sample of it."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CHUNK = 2**21  # logits held at once: 8 MB in float32, within the cache of a current CPU


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Loss and gradients chunk by chunk: the gradient of the logits is their softmax, at hand in the forward pass."""

    @staticmethod
    def forward(ctx: Any, interest: Tensor, items: Tensor, target: Tensor) -> Tensor:  # noqa: ANN401
        needed = ctx.needs_input_grad
        grad_interest = torch.empty_like(interest) if needed[0] else None
        grad_items = torch.zeros_like(items) if needed[1] else None
        total = torch.zeros((), dtype=interest.dtype, device=interest.device)
        rows = max(1, CHUNK // len(items))
        for begin in range(0, len(interest), rows):
            part, wanted = interest[begin : begin + rows], target[begin : begin + rows].unsqueeze(1)
            logits = part @ items.T  # [rows, N]
            top = logits.amax(dim=1, keepdim=True)
            total -= (logits.gather(1, wanted) - top).sum()
            weights = logits.sub_(top).exp_()
            norm = weights.sum(dim=1, keepdim=True)
            total += norm.log().sum()
            if grad_interest is None and grad_items is None:
                continue
            weights.div_(norm).scatter_add_(1, wanted, torch.full_like(norm, -1.0))  # softmax - one-hot
            if grad_interest is not None:
                grad_interest[begin : begin + rows] = weights @ items
            if grad_items is not None:
                grad_items.addmm_(weights.T, part)
        ctx.save_for_backward(grad_interest, grad_items)
        ctx.count = len(interest)
        return total / len(interest)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # noqa: ANN401
        scale = grad / ctx.count
        interest, items = (None if part is None else part * scale for part in ctx.saved_tensors)
        return interest, items, None


def chunked_cross_entropy(interest: Tensor, items: Tensor, target: Tensor) -> Tensor:
    """Mean cross entropy of ``interest @ items.T``, equal to torch's, in a memory that the catalogue does not multiply.

    Of the logits, [T, N], a chunk of rows is held at a time; its gradient is taken before the next one is made. In
    half precision under autocast, logits and sums are float32.

    Args:
        interest: [T, D].
        items: [N, D].
        target: row of ``items`` of each target, int64 [T].

    Returns:
        The mean loss, a scalar; NaN for no target, as torch's.
    """
    kind = torch.promote_types(interest.dtype, items.dtype)
    if kind in (torch.float16, torch.bfloat16):
        kind = torch.float32
    with torch.autocast(interest.device.type, enabled=False):
        return _ChunkedCrossEntropy.apply(interest.to(kind), items.to(kind), target)


def sampled_softmax(interest: Tensor, items: Tensor, target: Tensor, log_count: Tensor, number: int) -> Tensor:
    """Mean cross entropy against a sample of the catalogue, shared by the batch.

    Items are drawn with replacement by their number of training events. Their logits are corrected by the logarithm of
    their expected count in the sample, so that the sum over the sample estimates the one over the catalogue (importance
    sampling, Bengio & Senécal 2008); a drawn item that is the target is left out (an accidental hit).

    Args:
        interest: [T, D].
        items: [N, D].
        target: row of ``items`` of each target, int64 [T].
        log_count: logarithm of each item's number of training events, [N]; -inf for none.
        number: sample size ``K``.

    Returns:
        The mean loss, a scalar.
    """
    log_share = log_count.log_softmax(dim=0)
    drawn = torch.multinomial(log_share.exp(), number, replacement=True)  # [K]
    expected = log_share + torch.log(torch.tensor(float(number)))
    negative = interest @ items[drawn].T - expected[drawn]  # [T, K]
    negative = negative.masked_fill(drawn.unsqueeze(0) == target.unsqueeze(1), float("-inf"))
    positive = (interest * items[target]).sum(dim=1, keepdim=True)  # [T, 1]; always there, so nothing to correct
    logits = torch.cat([positive, negative], dim=1)
    return functional.cross_entropy(logits, torch.zeros(len(target), dtype=torch.int64, device=target.device))
