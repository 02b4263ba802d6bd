"""Losses over drawn negatives. Draws come from torch's global generator, whose state a run keeps: it resumes exactly.

Shapes: ``T`` targets, ``N`` items with the padding, ``D`` their size, ``K`` negatives.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

WHOLE_ROWS = 64  # up to this many items a negative, scores of the whole catalogue cost less than gathered vectors


def draw_uniform(target: Tensor, number: int, n_items: int, shared: bool = False) -> Tensor:
    """Draw negatives uniformly, with replacement.

    Args:
        target: the targets, int64 [T].
        number: negatives of each target, K.
        n_items: N; item 0 is the padding.
        shared: one draw for all targets, among which a target may be; else one each, of all items but its target.

    Returns:
        int64 [K] if shared, else [T, K].
    """
    if shared:
        return torch.randint(1, n_items, (number,), device=target.device)
    drawn = torch.randint(1, n_items - 1, (len(target), number), device=target.device)
    return drawn + (drawn >= target.unsqueeze(1))  # the target's place goes to the items above it


def scores_of(outputs: Tensor, items: Tensor, chosen: Tensor) -> Tensor:
    """Scores of some items for each output, [T, K].

    Args:
        outputs: [T, D].
        items: [N, D].
        chosen: rows of ``items``: [K] for all outputs, or [T, K].
    """
    if chosen.dim() == 1:
        return outputs @ items[chosen].T
    if len(items) <= WHOLE_ROWS * chosen.shape[1]:
        return (outputs @ items.T).gather(1, chosen)
    return torch.einsum("td,tkd->tk", outputs, items[chosen])


def beta_of(number: int, n_items: int, calibration: float) -> float:
    """The power of gBCE, ``beta = alpha (t (1 - 1/alpha) + 1/alpha)`` with ``alpha = K / (|I| - 1)``.

    ``t = 0`` gives 1, the binary cross entropy, and ``t = 1`` gives alpha, with which the scores are calibrated (Petrov
    & Macdonald 2023).

    Args:
        number: negatives of each target, K.
        n_items: N; the catalogue ``I`` has one less.
        calibration: ``t``, from 0 to 1.
    """
    alpha = number / max(1, n_items - 2)
    return alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)


def generalised_bce(positive: Tensor, negative: Tensor, beta: float, is_target: Tensor | None = None) -> Tensor:
    """Generalised binary cross entropy, a mean over targets.

    ``-(log sigmoid(s+)^beta + sum over negatives of log(1 - sigmoid(s-))) / (K + 1)`` (Petrov & Macdonald 2023).

    Args:
        positive: score of each target, [T].
        negative: scores of its negatives, [T, K].
        beta: the power, see :func:`beta_of`.
        is_target: negatives that are the target and count nothing, bool [T, K].

    Returns:
        The loss, a scalar.
    """
    against = functional.softplus(negative)  # -log(1 - sigmoid(s))
    if is_target is not None:
        against = against.masked_fill(is_target, 0.0)
    total = -beta * functional.logsigmoid(positive) + against.sum(dim=1)
    return (total / (negative.shape[1] + 1)).mean()


def sampled_softmax(positive: Tensor, negative: Tensor, is_target: Tensor | None = None) -> Tensor:
    """Cross entropy of each target against its negatives, a mean over targets.

    Args:
        positive: score of each target, [T].
        negative: scores of its negatives, [T, K]; with the correction of :func:`log_correction` added, if wanted.
        is_target: negatives that are the target and count nothing, bool [T, K].

    Returns:
        The loss, a scalar.
    """
    if is_target is not None:
        negative = negative.masked_fill(is_target, -math.inf)
    together = torch.cat([positive.unsqueeze(1), negative], dim=1)  # [T, 1 + K]
    return (together.logsumexp(dim=1) - positive).mean()


def log_correction(chosen: Tensor, probability: Tensor, number: int) -> Tensor:
    """``-log(K Q(j))`` for each negative ``j``: the sum over the sample then estimates the one over the catalogue.

    Bengio & Senécal (2008); the target, which is always in, has no correction.

    Args:
        chosen: negatives, int64 [K] or [T, K].
        probability: ``Q``, how likely one draw is each item, [N].
        number: draws, K.

    Returns:
        What to add to the scores, in the shape of ``chosen``.
    """
    return -(number * probability[chosen]).log()
