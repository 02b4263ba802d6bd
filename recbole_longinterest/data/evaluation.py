"""Evaluation batches bounded by what they take: events read and scores held, not rows alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from recbole.data.dataloader import FullSortEvalDataLoader

from recbole_longinterest.data.dealt import deal_batches
from recbole_longinterest.data.flat import FlatSequentialDataset

EVENTS = 2**20  # padded events a batch
SCORES = 2**25  # scores a batch, 128 MB in float32


def plan_evaluation(length: Sequence[int], n_items: int, most_rows: int) -> list[range]:
    """Consecutive rows of each batch, so that results come in RecBole's order.

    Args:
        length: padded history length of each row if it were alone.
        n_items: scores a row.
        most_rows: rows a batch, ``eval_batch_size``.

    Returns:
        Row ranges; a row that exceeds a bound by itself is a batch of its own.
    """
    most_rows = max(1, min(most_rows, SCORES // n_items))
    batches, begin, longest = [], 0, 0
    for row, events in enumerate(length):
        longest = max(longest, events)
        if row > begin and (row - begin >= most_rows or (row - begin + 1) * longest > EVENTS):
            batches.append(range(begin, row))
            begin, longest = row, events
    if len(length):
        batches.append(range(begin, len(length)))
    return batches


class BoundedEvalDataLoader(FullSortEvalDataLoader):
    """RecBole's full-ranking loader over a flat log, with batches that one long history cannot blow up.

    Args:
        config: RecBole's config.
        dataset: validation or test part.
        sampler: RecBole's; not used in full ranking.
        shuffle: evaluation is never shuffled.
    """

    def __init__(self, config: Any, dataset: FlatSequentialDataset, sampler: Any, shuffle: bool = False) -> None:  # noqa: ANN401
        self.shuffle = False
        self.uid_field, self.iid_field = dataset.uid_field, dataset.iid_field
        self.sample_size = len(dataset)
        plan = plan_evaluation(dataset.padded_lengths().tolist(), dataset.item_num, config["eval_batch_size"])
        deal_batches(self, config, dataset, sampler, plan)

    def collate_fn(self, rows: range) -> Any:  # noqa: ANN401
        """The batch of these rows; see :meth:`recbole.data.dataloader.FullSortEvalDataLoader.collate_fn`."""
        return super().collate_fn(np.arange(rows.start, rows.stop))
