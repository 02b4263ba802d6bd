"""Which items go together: the positive pairs of the contrastive loss, and how they are drawn.

Shapes: ``N`` items with the padding row 0, ``U`` items of a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

MOST = 64  # positives of an item; the heaviest are kept
SHRINK = 1.0  # pairs added to every count, so that one meeting of two rare items weighs little


@dataclass(frozen=True)
class Positives:
    """Items that go together.

    Attributes:
        weights: weight of each pair, rows sum to 1 or 0, float32 [N, N].
        related: pairs that are never negatives, with those in ``weights``, bool [N, N].
    """

    weights: sp.csr_array
    related: sp.csr_array

    @property
    def anchors(self) -> NDArray[np.int64]:
        """Items that have a positive."""
        return np.flatnonzero(np.diff(self.weights.indptr))

    def draw(self, items: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw a positive for each item, by weight.

        Args:
            items: of :attr:`anchors`, [n].
            rng: draws.

        Returns:
            [n].
        """
        begin, end = self.weights.indptr[items], self.weights.indptr[items + 1]
        heap = np.concatenate([[0.0], np.cumsum(self.weights.data, dtype=np.float64)])
        aim = heap[begin] + rng.random(len(items)) * (heap[end] - heap[begin])
        place = np.clip(np.searchsorted(heap, aim, side="right") - 1, begin, end - 1)
        return self.weights.indices[place].astype(np.int64)

    def among(self, items: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Weights and related pairs among the items of a batch, [U, U] each."""
        weights = self.weights[items][:, items].toarray()
        return weights.astype(np.float32), self.related[items][:, items].toarray() | (weights > 0)


def find_positives(
    counts: sp.csr_array, structure: sp.csr_array | None = None, share: float = 0.2, popularity: float = 0.3
) -> Positives:
    r"""Find the positive pairs.

    A pair is positive if it occurs more often than by chance, ``lift_ij = c_ij C / (d_i d_j) > 1``, with symmetric
    counts ``c``, their row sums ``d`` and their sum ``C``. Its weight is ``c_ij / (d_j + s)^a``: a neighbour that
    follows everything says little. Pairs in the catalogue's structure get a share of the weight of an item that has
    both, and all of an item that has no other.

    Args:
        counts: how often two items are near one another in histories, weighted by their distance, [N, N].
        structure: weight of pairs of items in a category or brand, [N, N].
        share: of the structure.
        popularity: exponent ``a`` of the correction: 0 prefers what all have, 1 what hardly anybody has.
    """
    together = (counts + counts.T).tocsr()
    together.setdiag(0)
    together.eliminate_zeros()
    degree = np.asarray(together.sum(axis=1)).ravel()
    pairs = together.tocoo()
    row, column = pairs.coords
    lift = pairs.data * degree.sum() / (degree[row] * degree[column])
    kept = lift > 1
    weight = pairs.data / (degree[column] + SHRINK) ** popularity
    found = sp.csr_array((weight[kept], (row[kept], column[kept])), shape=counts.shape)
    weights = _rows_to_one(_heaviest(found, MOST))
    if structure is not None:
        other = _rows_to_one(_heaviest(structure.tocsr(), MOST))
        has = np.diff(weights.indptr) > 0
        parts = np.where(has, share, 1.0)
        weights = sp.diags_array(np.where(np.diff(other.indptr) > 0, 1 - parts, 1.0) * has) @ weights
        weights = _rows_to_one((weights + sp.diags_array(parts) @ other).tocsr())
    return Positives(weights.astype(np.float32), (found != 0).tocsr())


def shared_values(values: Sequence[Sequence[str]]) -> sp.csr_array:
    """Weight of pairs of items that share values, the rarer the value the more.

    A value of more than ``10 * MOST`` items says too little, and would make too many pairs.

    Args:
        values: values of each item, as its categories, by id.

    Returns:
        [N, N], one over the number of items with the value, summed over the shared values.
    """
    names = {value: place for place, value in enumerate(dict.fromkeys(v for each in values for v in each))}
    entries = [(item, names[value]) for item, each in enumerate(values) for value in dict.fromkeys(each)]
    row, column = np.array(entries, dtype=np.int64).reshape(-1, 2).T
    member = sp.csr_array((np.ones(len(row)), (row, column)), shape=(len(values), max(len(names), 1)))
    size = np.asarray(member.sum(axis=0)).ravel()
    scale = np.where((size > 1) & (size <= 10 * MOST), 1 / np.maximum(size, 1), 0.0)
    pairs = (member @ sp.diags_array(scale) @ member.T).tocsr()
    pairs.setdiag(0)
    pairs.eliminate_zeros()
    return pairs


def same_texts(texts: Sequence[str]) -> sp.csr_array:
    """Pairs of different items with one text, which cannot be told apart, bool [N, N]."""
    groups: dict[str, list[int]] = {}
    for item, text in enumerate(texts):
        if text:
            groups.setdefault(text, []).append(item)
    pairs = [(one, other) for same in groups.values() for one in same for other in same if one != other]
    row, column = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return sp.csr_array((np.ones(len(row), bool), (row, column)), shape=(len(texts), len(texts)))


def _heaviest(pairs: sp.csr_array, number: int) -> sp.csr_array:
    """Keep the heaviest entries of every row; the smaller column first among equals."""
    row = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))
    order = np.lexsort((pairs.indices, -pairs.data, row))
    rank = np.arange(len(row)) - pairs.indptr[row]
    kept = order[rank < number]
    return sp.csr_array((pairs.data[kept], (row[kept], pairs.indices[kept])), shape=pairs.shape)


def _rows_to_one(pairs: sp.csr_array) -> sp.csr_array:
    total = np.asarray(pairs.sum(axis=1)).ravel()
    return (sp.diags_array(1 / np.where(total > 0, total, 1.0)) @ pairs).tocsr()
