"""Cross entropy over a sample of the catalogue."""

import math

import torch
from torch import Tensor

from recbole_longinterest.nn.losses.base import Loss, LossBatch, LossOptions
from recbole_longinterest.nn.losses.cross_entropy import chunked_cross_entropy
from recbole_longinterest.nn.losses.repeats import Repeats, had_before


def sampled_softmax(
    interest: Tensor,
    items: Tensor,
    target: Tensor,
    candidates: Tensor,
    number: int,
    repeats: Repeats | None = None,
) -> Tensor:
    """Mean cross entropy against a sample of the catalogue, shared by the batch.

    The sample holds every target of the batch, and ``number`` of the other candidates, drawn uniformly without
    replacement. Logits are corrected by the log-probability that their item is in the sample (0 for a target,
    ``log(number / others)`` for the rest), so that the sum over the sample is an unbiased estimate of the sum over the
    catalogue (importance sampling, Bengio & Senécal 2008). No item occurs twice, so there are no accidental hits. With
    at most ``number`` other candidates, this is the full cross entropy.

    Args:
        interest: [T, D].
        items: [N, D].
        target: row in ``items`` of each target, int64 [T].
        candidates: items that the softmax covers, bool [N].
        number: sample size ``K``.
        repeats: logits that get the repeat bias; None without a bias.

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
    one = interest.new_ones(len(interest), 1)  # times the correction, because `chunked_cross_entropy` has no item bias
    return chunked_cross_entropy(torch.cat([interest, one], dim=1), sample, place, repeats)


class SampledSoftmax(Loss):
    """:func:`sampled_softmax` over the items that occur in the training data.

    Args:
        number: sample size.
    """

    def __init__(self, number: int) -> None:
        self.number = number

    @classmethod
    def from_options(cls, options: LossOptions) -> "SampledSoftmax":
        """Create the loss with the sample size of the options."""
        return cls(options.sampled_softmax)

    def __call__(self, batch: LossBatch) -> Tensor:
        """The mean loss, a scalar."""
        repeats = None
        if batch.repeat is not None:
            repeats = Repeats(*had_before(batch.item_seq, batch.counted), batch.repeat)
        return sampled_softmax(batch.interest, batch.items, batch.target, batch.trained, self.number, repeats)
