"""Evaluation batches bounded by what they take: events read and scores held, not rows alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.data.transform import construct_transform
from recbole.utils import ModelType
from torch.utils.data import Dataset

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
        # RecBole's constructor would make batches of rows; these are the attributes it sets.
        self.config = config
        self.shuffle = False
        self._dataset = dataset
        self._sampler = sampler
        self.model = None
        self.uid_field, self.iid_field = dataset.uid_field, dataset.iid_field
        self.is_sequential = config["MODEL_TYPE"] == ModelType.SEQUENTIAL
        self.transform = construct_transform(config)
        self.generator = torch.Generator().manual_seed(config["seed"])
        self.sample_size = len(dataset)
        self._init_batch_size_and_step()
        torch.utils.data.DataLoader.__init__(
            self,
            dataset=_Rows(),
            batch_size=None,  # the sampler deals whole batches
            sampler=plan_evaluation(dataset.padded_lengths().tolist(), dataset.item_num, self.step),
            collate_fn=self.collate_fn,  # type: ignore[arg-type]
            num_workers=config["worker"],
            generator=self.generator,
        )

    def collate_fn(self, rows: range) -> Any:  # noqa: ANN401
        """The batch of these rows; see :meth:`recbole.data.dataloader.FullSortEvalDataLoader.collate_fn`."""
        return super().collate_fn(np.arange(rows.start, rows.stop))


class _Rows(Dataset[range]):
    """Hands a batch's rows through to ``collate_fn``."""

    def __getitem__(self, rows: range) -> range:
        return rows
