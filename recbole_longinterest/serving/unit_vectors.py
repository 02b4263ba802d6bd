"""Compare items by the cosine of their vectors."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from recbole_longinterest.serving.scorer import top_k


class UnitVectors:
    """Vectors of all items, compared by cosine.

    Args:
        vectors: [N, D], padding first; rows of zeros are similar to no item.

    Attributes:
        vectors: the vectors.
    """

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors
        lengths = vectors.norm(dim=1)
        self._empty, self._inverse = lengths == 0, 1 / lengths.clamp(min=1e-12)

    @torch.no_grad()
    def cosines(self, query: Tensor) -> Tensor:
        """Compute the cosine of every item with a query, [N].

        Args:
            query: query vector, [D].
        """
        return self.vectors @ functional.normalize(query, dim=0) * self._inverse

    def nearest(self, query: Tensor, k: int, without: Iterable[int] = ()) -> list[tuple[int, float]]:
        """Return the items with the highest cosines, and the cosines, -1 to 1.

        Args:
            query: query vector, [D].
            k: number of items.
            without: internal ids to exclude; the padding and zero vectors are always excluded.
        """
        cosines = self.cosines(query).clamp(-1, 1)
        cosines[self._empty] = -torch.inf
        cosines[[0, *without]] = -torch.inf
        values, ids = top_k(cosines.unsqueeze(0), min(k, len(cosines)))
        found = zip(ids[0].tolist(), values[0].tolist(), strict=True)
        return [(item, score) for item, score in found if score > -torch.inf]
