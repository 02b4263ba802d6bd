"""Find similar items by the cosine of the model's item vectors."""

from recbole_longinterest.serving.results import Recommended, check_k
from recbole_longinterest.serving.scorer import Scorer
from recbole_longinterest.serving.unit_vectors import UnitVectors


def similar_items(scorer: Scorer, item: int, k: int = 10) -> list[Recommended]:
    """Return the ``k`` items most similar to an item.

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
    found = UnitVectors(scorer.items).nearest(scorer.items[item], k, [item])
    return [scorer.recommended(other, score) for other, score in found]
