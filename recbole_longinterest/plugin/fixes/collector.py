"""Collect a batch's hits at evaluation without copying all scores."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recbole_longinterest.plugin.fixes.registry import patch

if TYPE_CHECKING:
    from recbole.data.interaction import Interaction
    from recbole.evaluator import Collector


def hits_of(top: Tensor, positive_u: Tensor, positive_i: Tensor, n_items: int) -> Tensor:
    """Find the recommended items that are positives, and count the positives of each row.

    Args:
        top: recommended items, int64 [B, K].
        positive_u: row of each positive, int64 [P]; repeated pairs count once.
        positive_i: item of each positive, int64 [P].
        n_items: catalogue size.

    Returns:
        int32 [B, K + 1]: 1 for a hit, and in the last column the row's number of positives.
    """
    pairs = torch.unique(positive_u.to(top.device) * n_items + positive_i.to(top.device))
    rows = torch.arange(len(top), device=top.device).unsqueeze(1)
    hit = torch.isin(rows * n_items + top, pairs)
    number = torch.bincount(pairs // n_items, minlength=len(top)).unsqueeze(1)
    return torch.cat([hit.int(), number.int()], dim=1)


@patch(
    "recbole.evaluator.collector:Collector.eval_batch_collect",
    kind="fix",
    why="RecBole copies all scores twice to look up a few of them.",
    wraps=True,
)
def lean_collector(collect: Callable[..., None]) -> Callable[..., None]:
    """Compute the same numbers from the recommended items only; use RecBole's code if a metric needs all scores."""

    def eval_batch_collect(
        self: "Collector",
        scores_tensor: Tensor,
        interaction: "Interaction",
        positive_u: Tensor,
        positive_i: Tensor,
    ) -> None:
        need = self.register.need
        if positive_u is None or any(need(key) for key in ("rec.meanrank", "rec.score", "data.label")):
            collect(self, scores_tensor, interaction, positive_u, positive_i)
            return
        if not (need("rec.items") or need("rec.topk")):
            return
        top = torch.topk(scores_tensor, max(self.topk), dim=-1).indices
        if need("rec.items"):
            self.data_struct.update_tensor("rec.items", top)
        if need("rec.topk"):
            self.data_struct.update_tensor("rec.topk", hits_of(top, positive_u, positive_i, scores_tensor.shape[1]))

    return eval_batch_collect
