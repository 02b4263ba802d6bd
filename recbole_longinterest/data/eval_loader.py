"""Evaluation batches with a limit on events and scores, not only on rows."""

from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from recbole.data.dataloader import FullSortEvalDataLoader
from torch import Tensor

from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.data.planned_loader import deal_batches
from recbole_longinterest.data.train_loader import trains_in_one_pass

EVENTS = 2**20  # maximum number of padded events per batch
SCORES = 2**25  # maximum number of scores per batch, 128 MB in float32


def plan_evaluation(length: Tensor, n_items: int, most_rows: int) -> list[Tensor]:
    """Plan batches of similar history lengths. Padding at most doubles the length of a history.

    Args:
        length: history length of each row, int64 [n_rows].
        n_items: number of scores per row.
        most_rows: maximum number of rows per batch, ``eval_batch_size``.

    Returns:
        Row indices of each batch, int64, sorted by length; every row occurs once. A row that exceeds a limit is a batch
        of its own.
    """
    most_rows = max(1, min(most_rows, SCORES // n_items))
    order = torch.argsort(length, stable=True)
    batches, begin, shortest = [], 0, 0
    for row, events in enumerate(length[order].tolist()):
        rows = row - begin
        if rows and (rows >= most_rows or (rows + 1) * events > EVENTS or events > 2 * shortest):
            batches.append(order[begin:row])
            begin = row
        if row == begin:
            shortest = events
    if len(order):
        batches.append(order[begin:])
    return batches


class BoundedEvalDataLoader(FullSortEvalDataLoader):
    """RecBole's full-ranking loader over a flat log, with batches of bounded memory.

    A model that trains in one pass is causal (this is checked before training), so its histories are padded only to the
    longest one of the batch, not to ``MAX_ITEM_LIST_LENGTH``.

    Args:
        config: RecBole's config.
        dataset: validation or test part.
        sampler: RecBole's sampler; full ranking does not use it.
        shuffle: ignored; evaluation is never shuffled.

    Attributes:
        order: rows of the part in the order of evaluation, int64 [n_rows]; each process has its own rows.
    """

    def __init__(
        self, config: Settings, dataset: FlatSequentialDataset, sampler: object, shuffle: bool = False
    ) -> None:
        self.shuffle = False
        self.uid_field, self.iid_field = dataset.uid_field, dataset.iid_field
        self.sample_size = len(dataset)
        if trains_in_one_pass(config):
            dataset.pads_to_limit = False
        rank, ranks = (0, 1) if config["single_spec"] else (dist.get_rank(), dist.get_world_size())
        own = torch.arange(self.sample_size)[rank::ranks]
        parts = plan_evaluation(dataset.padded_lengths()[own], dataset.item_num, config["eval_batch_size"] // ranks)
        plan = [own[part] for part in parts]
        self.order = torch.cat([torch.arange(0), *plan])  # a part may be empty
        deal_batches(self, config, dataset, sampler, plan)

    def collate_fn(self, rows: Tensor) -> Any:  # noqa: ANN401
        """Make the batch of these rows; see :meth:`recbole.data.dataloader.FullSortEvalDataLoader.collate_fn`."""
        return super().collate_fn(np.asarray(rows))
