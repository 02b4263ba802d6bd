"""Hold out triples of a knowledge graph, and measure how well a model predicts them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SHARE = 0.05  # share of the pairs of entities to hold out
MOST, FEWEST = 1000, 50  # number of pairs; with fewer, nothing is held out
OTHERS = 100  # other tails that the true tail is ranked against


@dataclass(frozen=True)
class HeldOut:
    """Held-out triples, and other tails of the same relations to rank against.

    Attributes:
        triples: head, relation and tail, int64 [n, 3].
        tails: the true tail, then :data:`OTHERS` tails drawn from all triples of the relation, int64 [n, 1 + OTHERS].
    """

    triples: Tensor
    tails: Tensor

    @torch.no_grad()
    def value(self, model: nn.Module) -> float:
        """Mean reciprocal rank of the true tail. An equal score adds half a rank."""
        was = model.training
        model.eval()
        device = next(model.parameters()).device
        heads, kinds, _ = (column.unsqueeze(1).expand_as(self.tails) for column in self.triples.unbind(dim=1))
        flat = (part.reshape(-1).to(device) for part in (heads, kinds, self.tails))
        scores = model(*flat).view(self.tails.shape)
        true, others = scores[:, :1], scores[:, 1:]
        ranks = 1 + (others > true).sum(dim=1) + 0.5 * (others == true).sum(dim=1)
        model.train(was)
        return float((1 / ranks.double()).mean())


def hold_out(triples: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], HeldOut | None]:
    """Hold out pairs of entities with all triples between them.

    A triple of the inverse relation in the training would reveal the held-out one. A pair is held out only if both
    entities have other neighbours, so each entity keeps a triple.

    Args:
        triples: head, relation and tail, int64 [T, 3].
        seed: seed of the random choice.

    Returns:
        The triples to train on, and the held-out ones; None in place of these if the graph has too few pairs.
    """
    rng = np.random.default_rng(seed)
    ends = np.sort(triples[:, [0, 2]], axis=1)
    pairs, pair_of = np.unique(ends, axis=0, return_inverse=True)
    left = np.bincount(pairs.ravel())  # neighbours of each entity
    chosen = np.zeros(len(pairs), dtype=bool)
    wanted = min(MOST, int(SHARE * len(pairs)))
    for pair in rng.permutation(len(pairs)).tolist():
        if wanted == 0:
            break
        first, second = pairs[pair]
        if first != second and left[first] > 1 and left[second] > 1:
            left[[first, second]] -= 1
            chosen[pair] = True
            wanted -= 1
    if chosen.sum() < FEWEST:
        return triples, None
    apart = chosen[pair_of.ravel()]
    train, held_out = triples[~apart], triples[apart]
    order = np.argsort(triples[:, 1], kind="stable")
    starts = np.searchsorted(triples[order, 1], np.arange(triples[:, 1].max() + 2))
    kinds = held_out[:, 1]
    size = starts[kinds + 1] - starts[kinds]
    picks = starts[kinds, None] + (rng.random((len(kinds), OTHERS)) * size[:, None]).astype(np.int64)
    tails = np.concatenate([held_out[:, 2:], triples[order[picks], 2]], axis=1)
    return train, HeldOut(torch.from_numpy(held_out), torch.from_numpy(tails))
