"""Find and draw the positive pairs of the contrastive loss: items that often occur together.

Shapes: ``N`` items with the padding row 0, ``U`` items of a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

MOST = 64  # maximum number of positives of an item; those with the largest weights are kept
SHRINK = 1.0  # added to item counts, so that a single pair of rare items gets a small weight


@dataclass(frozen=True)
class Positives:
    """Positive pairs of items.

    Attributes:
        weights: weight of each pair, float32 [N, N]. Each row sums to 1, or to 0 if the item has no positive.
        related: further pairs that must not be negatives, bool [N, N].
    """

    weights: sp.csr_array
    related: sp.csr_array

    @property
    def anchors(self) -> NDArray[np.int64]:
        """Items that have a positive."""
        return np.flatnonzero(np.diff(self.weights.indptr))

    def draw(self, items: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw a positive for each item, with probabilities equal to the weights.

        Args:
            items: ids of items in :attr:`anchors`, [n].
            rng: random generator.

        Returns:
            Ids of the positives, [n].
        """
        begin, end = self.weights.indptr[items], self.weights.indptr[items + 1]
        heap = np.concatenate([[0.0], np.cumsum(self.weights.data, dtype=np.float64)])
        aim = heap[begin] + rng.random(len(items)) * (heap[end] - heap[begin])
        place = np.clip(np.searchsorted(heap, aim, side="right") - 1, begin, end - 1)
        return self.weights.indices[place].astype(np.int64)

    def among(self, items: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Weights, and mask of the pairs that must not be negatives, among the items of a batch, [U, U] each."""
        weights = self.weights[items][:, items].toarray()
        return weights.astype(np.float32), self.related[items][:, items].toarray() | (weights > 0)


def find_positives(
    counts: sp.csr_array, structure: sp.csr_array | None = None, share: float = 0.2, popularity: float = 0.3
) -> Positives:
    r"""Find the positive pairs.

    A pair is positive if it occurs more often than by chance, ``lift_ij = c_ij C / (d_i d_j) > 1``, with symmetric
    counts ``c``, their row sums ``d`` and their sum ``C``. Its weight is ``c_ij / (d_j + s)^a``, which reduces the
    weight of popular items ``j``. If an item has pairs in ``structure`` as well, these get the part ``share`` of its
    total weight; if it has no other pairs, they get all of it.

    Args:
        counts: how often two items are close together in histories, weighted by their distance, [N, N].
        structure: weights of pairs of items with a common category or brand, [N, N].
        share: part of an item's weight for its pairs in ``structure``.
        popularity: exponent ``a`` of the popularity correction; 0 prefers popular items, 1 prefers rare ones.
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
    """Weight pairs of items that share values. A rarer value gives a larger weight.

    Values of more than ``10 * MOST`` items are ignored: they mean little and would make too many pairs.

    Args:
        values: values of each item by id, for example its categories.

    Returns:
        [N, N]. Each shared value adds 1 / (number of items with this value).
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
    """Pairs of different items with the same text, which no encoder can distinguish, bool [N, N]."""
    groups: dict[str, list[int]] = {}
    for item, text in enumerate(texts):
        if text:
            groups.setdefault(text, []).append(item)
    pairs = [(one, other) for same in groups.values() for one in same for other in same if one != other]
    row, column = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return sp.csr_array((np.ones(len(row), bool), (row, column)), shape=(len(texts), len(texts)))


def _heaviest(pairs: sp.csr_array, number: int) -> sp.csr_array:
    """Keep the ``number`` largest entries of every row; among equal ones, those with smaller columns."""
    row = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))
    order = np.lexsort((pairs.indices, -pairs.data, row))
    rank = np.arange(len(row)) - pairs.indptr[row]
    kept = order[rank < number]
    return sp.csr_array((pairs.data[kept], (row[kept], pairs.indices[kept])), shape=pairs.shape)


def _rows_to_one(pairs: sp.csr_array) -> sp.csr_array:
    total = np.asarray(pairs.sum(axis=1)).ravel()
    return (sp.diags_array(1 / np.where(total > 0, total, 1.0)) @ pairs).tocsr()
