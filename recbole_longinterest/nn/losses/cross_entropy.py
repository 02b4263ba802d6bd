"""Cross entropy over all items, with bounded memory for the logits."""

from typing import Any

import torch
from torch import Tensor

from recbole_longinterest.nn.losses.base import Loss, LossBatch
from recbole_longinterest.nn.losses.repeats import Repeats, had_before, pairs_of

CHUNK = 2**21  # logits in memory at once: 8 MB in float32, within the cache of a current CPU
ROWS = 64  # minimum targets per chunk, so that a large item table is not read again for every few targets


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Loss and gradients chunk by chunk. The forward pass computes the gradients too, because it has the softmax."""

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
    """Mean cross entropy of ``interest @ items.T``, equal to torch's, with bounded memory for any catalogue.

    Logits, [T, N], and gradients are computed in chunks of rows. With half-precision inputs, logits and sums are
    float32.

    Args:
        interest: [T, D].
        items: [N, D].
        target: row in ``items`` of each target, int64 [T].
        repeats: logits that get the repeat bias; None without a bias.

    Returns:
        The mean loss, a scalar; NaN without targets, as in torch.
    """
    kind = torch.promote_types(interest.dtype, items.dtype)
    if kind in (torch.float16, torch.bfloat16):
        kind = torch.float32
    with torch.autocast(interest.device.type, enabled=False):
        *had, bias = repeats or (None,)
        bias = None if bias is None else bias.to(kind)
        return _ChunkedCrossEntropy.apply(interest.to(kind), items.to(kind), target, had, bias)


class CrossEntropy(Loss):
    """Cross entropy over the items that occur in the training data.

    Other items are left out, because the softmax would push their scores down. Their scores should depend on their
    text only.
    """

    def __call__(self, batch: LossBatch) -> Tensor:
        """The mean loss, a scalar."""
        trained = batch.trained
        place = trained.cumsum(dim=0).masked_fill(~trained, 0)  # position among the candidates, from 1; 0 for others
        repeats = None
        if batch.repeat is not None:
            had, begin, number = had_before(place[batch.item_seq], batch.counted)  # other items count as padding
            repeats = Repeats(had - 1, begin, number, batch.repeat)
        candidates = batch.items[1:] if trained[1:].all() else batch.items[trained]
        return chunked_cross_entropy(batch.interest, candidates, place[batch.target] - 1, repeats)
