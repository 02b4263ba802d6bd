"""Negatives that are hard to tell from positives, and the batches of an epoch."""

from collections.abc import Iterator, Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recbole_longinterest.text.adapting.positives import Positives

# Of the nearest items, those of these ranks are hard negatives. The very nearest are often positives that nobody has
# had together yet (Zhuang et al. 2025, "NV-Retriever", section 4).
NEAREST, FARTHEST = 10, 50
ROWS = 512  # items compared with all others at a time


def mine_negatives(vectors: NDArray[np.float32], items: NDArray[np.int64], never: sp.csr_array) -> NDArray[np.int32]:
    """Find the items with near vectors that are no positives.

    Args:
        vectors: of the catalogue, [N, D].
        items: that may be negatives, and get some, [n].
        never: pairs that are never negatives, [N, N].

    Returns:
        Negatives of each item, the nearest first; its own id where there are fewer, [N, FARTHEST - NEAREST].
    """
    width = FARTHEST - NEAREST
    found = np.repeat(np.arange(len(vectors), dtype=np.int32)[:, None], width, axis=1)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    for start in range(0, len(items), ROWS):
        rows = items[start : start + ROWS]
        near = unit[rows] @ unit[items].T
        near[never[rows][:, items].toarray() | (rows[:, None] == items[None, :])] = -np.inf
        order = np.argsort(-near, axis=1, kind="stable")[:, NEAREST:FARTHEST]
        whole = np.take_along_axis(near, order, axis=1) > -np.inf
        found[rows, : order.shape[1]] = np.where(whole, items[order], rows[:, None])
    return found


def batches_of_epoch(
    positives: Positives, hard: NDArray[np.int32], anchors: int, lengths: Sequence[int], rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Items of the batches of an epoch: anchors, a positive that is drawn for each, and a hard negative.

    All items of a batch are anchors of the loss, so an item that came as a positive or negative is not chosen again in
    the epoch: an epoch encodes every item that has a positive about once.

    Args:
        positives: the pairs.
        hard: of :func:`mine_negatives`.
        anchors: that are chosen for a batch, which has at most three times as many items.
        lengths: of the items' texts; a batch is in their order, the longest first, which saves padding.
        rng: draws.

    Yields:
        Different ids, [U].
    """
    length = np.asarray(lengths)
    left = rng.permutation(positives.anchors)
    done = np.zeros(len(length), bool)
    while len(left):
        chosen = left[:anchors]
        drawn = positives.draw(chosen, rng)
        against = hard[chosen, rng.integers(hard.shape[1], size=len(chosen))]
        batch = np.unique(np.concatenate([chosen, drawn, against]))
        done[batch] = True
        left = left[~done[left]]
        yield batch[np.argsort(-length[batch], kind="stable")]
