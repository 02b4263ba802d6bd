"""The contrastive loss, and its gradient for batches that do not fit into memory."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(vectors: Tensor, weights: Tensor, negative: Tensor, temperature: float) -> Tensor:
    r"""InfoNCE over all positive pairs of a batch.

    ``-sum_ij w_ij log(e^{s_ij} / (e^{s_ij} + sum_{n in negatives of i} e^{s_in}))``, with ``s`` the cosine over the
    temperature (van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding", equation 4).
    Positives of an item do not compete with one another. Items that are neither positives nor negatives, as false
    negatives are, do not count.

    Args:
        vectors: of the items of the batch, [U, D].
        weights: of each positive pair, 0 for others, [U, U].
        negative: which items are negatives of which, bool [U, U].
        temperature: above 0.

    Returns:
        The mean over the items that have a positive, a scalar; 0 if there is no positive.
    """
    unit = functional.normalize(vectors.float(), dim=-1)
    logits = unit @ unit.T / temperature
    against = logits.masked_fill(~negative, -torch.inf).logsumexp(dim=1, keepdim=True)  # [U, 1]; -inf for no negative
    row, column = weights.nonzero(as_tuple=True)
    losses = functional.softplus(against[row, 0] - logits[row, column])  # -log(e^s / (e^s + e^against))
    weight = weights[row, column] / weights.sum(dim=1)[row]
    return (losses * weight).sum() / max(1, int(row.unique().numel()))


def backward_in_parts(
    encode: Callable[[slice], Tensor], number: int, part: int, loss_of: Callable[[Tensor], Tensor]
) -> float:
    """Gradient of a loss over all vectors of a batch, with the memory of a part of it.

    GradCache (Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup"): encode
    without a graph, take the loss's gradient at the vectors, then encode part by part again and send that gradient
    through. It equals the gradient of the whole batch, because dropout draws the same numbers again.

    Args:
        encode: vectors of a slice of the batch, [n, D].
        number: items of the batch.
        part: items that are encoded with a graph at a time.
        loss_of: the loss of all vectors, [number, D].

    Returns:
        The loss.
    """
    slices = [slice(start, min(start + part, number)) for start in range(0, number, part)]
    if len(slices) == 1:
        loss = loss_of(encode(slices[0]))
        loss.backward()
        return loss.item()
    states, parts = [], []
    with torch.no_grad():
        for rows in slices:
            states.append(_random_state())
            parts.append(encode(rows))
    after = _random_state()
    vectors = torch.cat(parts).requires_grad_()
    loss = loss_of(vectors)
    loss.backward()
    assert vectors.grad is not None
    for rows, state in zip(slices, states, strict=True):
        _set_random_state(state)
        encode(rows).backward(vectors.grad[rows])
    _set_random_state(after)
    return loss.item()


def _random_state() -> list[Tensor]:
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [])]


def _set_random_state(state: list[Tensor]) -> None:
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.cuda.set_rng_state_all(state[1:])
