"""Losses over sampled negatives. They use torch's global generator, whose state a run saves, so a run resumes exactly.

Shapes: ``T`` targets, ``N`` items with the padding, ``D`` vector size, ``K`` negatives.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from recbole_longinterest.common.errors import LongInterestError

WHOLE_ROWS = 64  # up to this many items per negative, scoring the whole catalogue is faster than gathering vectors


def draw_uniform(target: Tensor, number: int, n_items: int, shared: bool = False) -> Tensor:
    """Draw negatives uniformly, with replacement.

    Args:
        target: the targets, int64 [T].
        number: negatives per target, K.
        n_items: N; item 0 is the padding.
        shared: draw once for all targets, where a draw may equal a target; otherwise draw for each target separately,
            without the target itself.

    Returns:
        int64 [K] if shared, else [T, K].

    Raises:
        LongInterestError: for a catalogue with a single item, which has no negatives.
    """
    if n_items <= 2:
        raise LongInterestError(
            "Negatives are other items than the target, but the data set has one item. Give it at least two."
        )
    if shared:
        return torch.randint(1, n_items, (number,), device=target.device)
    drawn = torch.randint(1, n_items - 1, (len(target), number), device=target.device)
    return drawn + (drawn >= target.unsqueeze(1))  # skip the target


def scores_of(outputs: Tensor, items: Tensor, chosen: Tensor) -> Tensor:
    """Scores of the given items for each output, [T, K].

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

    ``t = 0`` gives 1, the binary cross entropy. ``t = 1`` gives alpha, which calibrates the scores (Petrov & Macdonald
    2023).

    Args:
        number: negatives per target, K.
        n_items: N; the catalogue ``I`` has one item less.
        calibration: ``t``, from 0 to 1.
    """
    alpha = number / max(1, n_items - 2)
    return alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)


def generalised_bce(positive: Tensor, negative: Tensor, beta: float, is_target: Tensor | None = None) -> Tensor:
    """Generalised binary cross entropy, averaged over targets.

    ``-(log sigmoid(s+)^beta + sum over negatives of log(1 - sigmoid(s-))) / (K + 1)`` (Petrov & Macdonald 2023).

    Args:
        positive: score of each target, [T].
        negative: scores of its negatives, [T, K].
        beta: the power, see :func:`beta_of`.
        is_target: negatives that equal the target and are ignored, bool [T, K].

    Returns:
        The loss, a scalar.
    """
    against = functional.softplus(negative)  # -log(1 - sigmoid(s))
    if is_target is not None:
        against = against.masked_fill(is_target, 0.0)
    total = -beta * functional.logsigmoid(positive) + against.sum(dim=1)
    return (total / (negative.shape[1] + 1)).mean()


def sampled_softmax(positive: Tensor, negative: Tensor, is_target: Tensor | None = None) -> Tensor:
    """Cross entropy of each target against its negatives, averaged over targets.

    Args:
        positive: score of each target, [T].
        negative: scores of its negatives, [T, K], optionally with :func:`log_correction` added.
        is_target: negatives that equal the target and are ignored, bool [T, K].

    Returns:
        The loss, a scalar.
    """
    if is_target is not None:
        negative = negative.masked_fill(is_target, -math.inf)
    together = torch.cat([positive.unsqueeze(1), negative], dim=1)  # [T, 1 + K]
    return (together.logsumexp(dim=1) - positive).mean()


def log_correction(chosen: Tensor, probability: Tensor, number: int) -> Tensor:
    """``-log(K Q(j))`` for each negative ``j``, so that the sum over the sample estimates the sum over the catalogue.

    See Bengio & Senécal (2008). The target is always in the sample and needs no correction.

    Args:
        chosen: negatives, int64 [K] or [T, K].
        probability: ``Q``, the probability of each item in one draw, [N].
        number: number of draws, K.

    Returns:
        The values to add to the scores, in the shape of ``chosen``.
    """
    return -(number * probability[chosen]).log()
