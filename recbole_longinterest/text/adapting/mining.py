"""Mine hard negatives, and make the batches of an epoch."""

from collections.abc import Iterator, Sequence

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from recbole_longinterest.text.adapting.positives import Positives

# Hard negatives are the nearest items from rank NEAREST to rank FARTHEST. Still nearer items are often positives that
# have not occurred together yet (Zhuang et al. 2025, "NV-Retriever", section 4).
NEAREST, FARTHEST = 10, 50
ROWS = 512  # items compared with all others at a time


def mine_negatives(vectors: NDArray[np.float32], items: NDArray[np.int64], never: sp.csr_array) -> NDArray[np.int32]:
    """Find hard negatives: items with similar vectors that are not positives.

    Args:
        vectors: vectors of all items, [N, D].
        items: ids of the items that may be negatives; only these get negatives, [n].
        never: pairs that must not be negatives, [N, N].

    Returns:
        Negatives of each item, the nearest first, [N, FARTHEST - NEAREST]; filled up with the item's own id.
    """
    width = FARTHEST - NEAREST
    found = np.repeat(np.arange(len(vectors), dtype=np.int32)[:, None], width, axis=1)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    for start in range(0, len(items), ROWS):
        rows = items[start : start + ROWS]
        near = unit[rows] @ unit[items].T
        near[never[rows][:, items].toarray() | (rows[:, None] == items[None, :])] = -np.inf
        best = torch.topk(torch.from_numpy(near), min(FARTHEST, len(items)))
        nearness, order = best.values[:, NEAREST:].numpy(), best.indices[:, NEAREST:].numpy()
        found[rows, : order.shape[1]] = np.where(nearness > -np.inf, items[order], rows[:, None])
    return found


def batches_of_epoch(
    positives: Positives, hard: NDArray[np.int32], anchors: int, lengths: Sequence[int], rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Make the batches of an epoch: anchors, and a random positive and a random hard negative of each anchor.

    The loss uses all items of a batch as anchors. So an item that was drawn as a positive or negative is not chosen as
    an anchor later in the epoch, and an epoch encodes every item that has a positive about once.

    Args:
        positives: the positive pairs.
        hard: result of :func:`mine_negatives`.
        anchors: number of anchors to choose for a batch; the batch has at most three times as many items.
        lengths: length of each item's text. A batch is sorted by length, the longest first, to save padding.
        rng: random generator.

    Yields:
        Distinct item ids, [U].
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
