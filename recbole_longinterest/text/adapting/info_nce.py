"""The contrastive loss, and its gradient for batches larger than memory."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(vectors: Tensor, weights: Tensor, negative: Tensor, temperature: float) -> Tensor:
    r"""InfoNCE over all positive pairs of a batch.

    ``-sum_ij w_ij log(e^{s_ij} / (e^{s_ij} + sum_{n in negatives of i} e^{s_in}))``, with ``s`` the cosine over the
    temperature (van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding", equation 4).
    The other positives of an item are not in the denominator. Pairs that are neither positive nor negative, such as
    likely false negatives, are ignored.

    Args:
        vectors: vectors of the items of the batch, [U, D].
        weights: weight of each positive pair, 0 for other pairs, [U, U].
        negative: mask of the negatives of each item, bool [U, U].
        temperature: a number above 0.

    Returns:
        Scalar, the mean over the items that have a positive; 0 if no item has one.
    """
    unit = functional.normalize(vectors.float(), dim=-1)
    logits = unit @ unit.T / temperature
    against = logits.masked_fill(~negative, -torch.inf).logsumexp(dim=1, keepdim=True)  # [U, 1]; -inf for no negative
    row, column = weights.nonzero(as_tuple=True)
    losses = functional.softplus(against[row, 0] - logits[row, column])  # -log(e^s / (e^s + e^against))
    weight = weights[row, column] / weights.sum(dim=1)[row]
    return (losses * weight).sum() / max(1, int(row.unique().numel()))


def backward_in_parts(
    encode: Callable[[slice], Tensor], parts: Sequence[slice], loss_of: Callable[[Tensor], Tensor]
) -> float:
    """Compute the gradient of a loss over a whole batch with the memory of a part of it.

    GradCache (Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup"): encode the
    batch without a graph, compute the gradient of the loss at the vectors, then encode each part again with a graph and
    backpropagate this gradient. The random state is restored, so dropout is the same both times and the result equals
    the gradient of the whole batch.

    Args:
        encode: function of a slice of the batch that returns its vectors, [n, D].
        parts: the batch in parts that are encoded with a graph at a time, in order.
        loss_of: function of all vectors, [U, D], that returns the loss.

    Returns:
        The loss. The gradients of the parameters are set.
    """
    if len(parts) == 1:
        loss = loss_of(encode(parts[0]))
        loss.backward()
        return loss.item()
    states, encoded = [], []
    with torch.no_grad():
        for rows in parts:
            states.append(_random_state())
            encoded.append(encode(rows))
    after = _random_state()
    vectors = torch.cat(encoded).requires_grad_()
    loss = loss_of(vectors)
    loss.backward()
    assert vectors.grad is not None
    for rows, state in zip(parts, states, strict=True):
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
