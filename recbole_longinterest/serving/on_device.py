"""A recommender that computes on a GPU or another device, for recommendations to many users at once."""

import copy
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.scorer import as_tensor
from recbole_longinterest.serving.served import Served


class DeviceRecommender(Recommender):
    """A recommender that encodes histories and scores items on a device, with a copy of the network there.

    States, explanations, an index, and histories of more than ``LONG`` events stay on the CPU. Scores on a GPU equal
    those of the CPU up to rounding.

    Args:
        served: content of an exported folder.
        device: device of the copy, such as ``"cuda"``.

    Attributes:
        device: the device.
    """

    def __init__(self, served: Served, device: str | torch.device) -> None:
        super().__init__(served)
        self.device = torch.device(device)
        self._there = copy.deepcopy(self.network).to(self.device)
        self._items_there = self.items.to(self.device)

    def _interest_after(self, item_seq: Tensor, length: Tensor, levels: dict[str, Tensor]) -> Tensor:
        there = {name: value.to(self.device) for name, value in levels.items()}
        given = item_seq.to(self.device), length.to(self.device), there
        return self._there.interest_after(*given, self._items_there).cpu()

    @torch.no_grad()
    def scores_of(self, interest: Tensor, seen: Sequence[Collection[int]] = (), recent: Tensor | None = None) -> Tensor:
        """Compute the scores of all items, [B, N], on the device; see :meth:`Scorer.scores_of`."""
        query, rows = self._there.comparable(interest.to(self.device), self._items_there)
        scores = query @ rows.T
        if len(self.lifted):
            scores[:, self.lifted.to(self.device)] += self.lift
        if self._repeat is not None:
            for row, ids in enumerate(seen):
                scores[row, as_tensor(ids).to(self.device)] += self._repeat
        memory = self._there.memory
        return scores if memory is None or recent is None else memory.add_to(scores, recent.to(self.device))

    def best(
        self,
        interest: Tensor,
        k: int,
        seen: Sequence[Collection[int]],
        allowed: Tensor | None = None,
        exclude_seen: bool = True,
        hidden: Sequence[Collection[int]] | None = None,
        recent: Tensor | None = None,
    ) -> list[list[tuple[int, float]]]:
        """Return the best items; see :meth:`Scorer.best`."""
        there = None if allowed is None else allowed.to(self.device)
        return super().best(interest, k, seen, there, exclude_seen, hidden, recent)
