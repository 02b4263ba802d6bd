"""Items like an item, by the angle between the model's item vectors."""

import torch

from recbole_longinterest.serving.results import Recommended, check_k
from recbole_longinterest.serving.scorer import Scorer, top_k


@torch.no_grad()
def similar_items(scorer: Scorer, item: int, k: int = 10) -> list[Recommended]:
    """The ``k`` items most like one.

    Args:
        scorer: the model.
        item: internal id.
        k: number of items.

    Returns:
        Most similar first; the score is the cosine of the two vectors, -1 to 1.

    Raises:
        LongInterestError: if ``k`` is below 1.
    """
    check_k(k)
    vectors, one = scorer.items, scorer.items[item]
    length = vectors.norm(dim=1) * one.norm()
    cosine = (vectors @ one / length.clamp(min=1e-12)).clamp(-1, 1)
    cosine[0] = cosine[item] = -torch.inf  # the padding, and the item itself
    values, ids = top_k(cosine.unsqueeze(0), min(k, len(cosine)))
    found = zip(ids[0].tolist(), values[0].tolist(), strict=True)
    return [scorer.recommended(other, score) for other, score in found if score > -torch.inf]
