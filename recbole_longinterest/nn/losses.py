"""Cross entropy over a large catalogue: without its logits in memory, or over a sample of it."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

CHUNK = 2**21  # logits held at once: 8 MB in float32, within the cache of a current CPU
ROWS = 64  # targets a chunk at least, or a large catalogue's table is read for every few of them


class Repeats(NamedTuple):
    """Items of the softmax that the user of a target has had before, and what is added to their logits.

    What stands before a target stands before all later ones of its history: it is kept once a history, so that memory
    does not grow with the square of its length.

    Attributes:
        items: row of the softmax's items, -1 for one that is none of them, int64 [E].
        begin: where in ``items`` those of each target begin, int64 [T].
        number: how many there are; an item stands among them once, int64 [T].
        bias: a scalar.
    """

    items: Tensor
    begin: Tensor
    number: Tensor
    bias: Tensor

    def among(self, place: Tensor) -> "Repeats":
        """The same over a choice of the items.

        Args:
            place: of each item in the choice, -1 for one that is not in it, int64 [N].
        """
        return self._replace(items=torch.where(self.items < 0, -1, place[self.items]))


def pairs_of(items: Tensor, begin: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
    """Number of the target, ascending, and row of the item, int64 [P] each; see :class:`Repeats`."""
    target = torch.repeat_interleave(number)
    shift = (begin - number.cumsum(dim=0) + number).index_select(0, target)
    item = items.index_select(0, torch.arange(len(target), device=target.device) + shift)
    kept = item >= 0
    return target[kept], item[kept]


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Loss and gradients chunk by chunk: the gradient of the logits is their softmax, at hand in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        interest: Tensor,
        items: Tensor,
        target: Tensor,
        repeats: tuple[Tensor, Tensor, Tensor],
        bias: Tensor | None,
    ) -> Tensor:
        needed = ctx.needs_input_grad
        grad_interest = torch.empty_like(interest) if needed[0] else None
        grad_items = torch.zeros_like(items) if needed[1] else None
        grad_bias = torch.zeros_like(bias) if bias is not None and needed[4] else None
        total = torch.zeros((), dtype=interest.dtype, device=interest.device)
        rows = max(ROWS, CHUNK // len(items))
        for begin in range(0, len(interest), rows):
            part, wanted = interest[begin : begin + rows], target[begin : begin + rows].unsqueeze(1)
            logits = part @ items.T  # [rows, N]
            if bias is not None:
                had, *where = repeats
                row, item = pairs_of(had, *(each[begin : begin + rows] for each in where))
                repeated = row * len(items) + item
                logits.view(-1).scatter_add_(0, repeated, bias.expand(len(repeated)))
            top = logits.amax(dim=1, keepdim=True)
            total -= (logits.gather(1, wanted) - top).sum()
            weights = logits.sub_(top).exp_()
            norm = weights.sum(dim=1, keepdim=True)
            total += norm.log().sum()
            if grad_interest is None and grad_items is None and grad_bias is None:
                continue
            weights.div_(norm).scatter_add_(1, wanted, torch.full_like(norm, -1.0))  # softmax - one-hot
            if grad_bias is not None:
                grad_bias += weights.view(-1).index_select(0, repeated).sum()
            if grad_interest is not None:
                grad_interest[begin : begin + rows] = weights @ items
            if grad_items is not None:
                grad_items.addmm_(weights.T, part)
        ctx.save_for_backward(grad_interest, grad_items, grad_bias)
        ctx.count = len(interest)
        return total / len(interest)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        scale = grad / ctx.count
        interest, items, bias = (None if part is None else part * scale for part in ctx.saved_tensors)
        return interest, items, None, None, bias


def chunked_cross_entropy(interest: Tensor, items: Tensor, target: Tensor, repeats: Repeats | None = None) -> Tensor:
    """Mean cross entropy of ``interest @ items.T``, equal to torch's, in a memory that the catalogue does not multiply.

    Of the logits, [T, N], a chunk of rows is held at a time; its gradient is taken before the next one is made. In
    half precision under autocast, logits and sums are float32.

    Args:
        interest: [T, D].
        items: [N, D].
        target: row of ``items`` of each target, int64 [T].
        repeats: logits that something is added to.

    Returns:
        The mean loss, a scalar; NaN for no target, as torch's.
    """
    kind = torch.promote_types(interest.dtype, items.dtype)
    if kind in (torch.float16, torch.bfloat16):
        kind = torch.float32
    with torch.autocast(interest.device.type, enabled=False):
        *had, bias = repeats or (None,)
        bias = None if bias is None else bias.to(kind)
        return _ChunkedCrossEntropy.apply(interest.to(kind), items.to(kind), target, had, bias)


def sampled_softmax(
    interest: Tensor,
    items: Tensor,
    target: Tensor,
    candidates: Tensor,
    number: int,
    repeats: Repeats | None = None,
) -> Tensor:
    """Mean cross entropy against a sample of the catalogue, shared by the batch.

    The sample holds every item that is a target in the batch, and ``number`` of the other candidates, drawn uniformly
    without replacement. Logits are corrected by the logarithm of the probability that their item is in the sample (0
    for a target, ``log(number / others)`` for the rest), so that the sum over the sample is an unbiased estimate of the
    one over the catalogue (importance sampling, Bengio & Senécal 2008). No item is in it twice: there are no
    accidental hits. With no more candidates than ``number``, it is the cross entropy over all of them.

    Args:
        interest: [T, D].
        items: [N, D].
        target: row of ``items`` of each target, int64 [T].
        candidates: which items the softmax is over, bool [N].
        number: sample size ``K``.
        repeats: logits that something is added to.

    Returns:
        The mean loss, a scalar.
    """
    wanted, place = target.unique(return_inverse=True)
    others = candidates.index_fill(0, wanted, value=False).nonzero().flatten()
    drawn = others[torch.randperm(len(others), device=others.device)[:number]]
    correction = interest.new_zeros(len(wanted) + len(drawn), 1)
    if len(drawn):
        correction[len(wanted) :] = math.log(len(others) / len(drawn))
    chosen = torch.cat([wanted, drawn])
    sample = torch.cat([items.index_select(0, chosen), correction], dim=1)
    if repeats is not None:
        where = torch.full_like(candidates, -1, dtype=torch.int64)
        where[chosen] = torch.arange(len(chosen), device=where.device)
        repeats = repeats.among(where)
    one = interest.new_ones(len(interest), 1)  # times the correction: logits of `chunked_cross_entropy` have no bias
    return chunked_cross_entropy(torch.cat([interest, one], dim=1), sample, place, repeats)
