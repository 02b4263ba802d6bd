"""One-pass training batches: windows of the log with a target at every position."""

from collections.abc import Iterator
from typing import Any

import torch
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.data.interaction import Interaction
from recbole.data.transform import construct_transform
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from recbole_longinterest.data.dataset import POSITION, LongInterestDataset, restore
from recbole_longinterest.data.sequences import TrainingWindows, gather_windows, plan_batches, plan_windows
from recbole_longinterest.model.options import parse_switch


def trains_in_one_pass(config: Any) -> bool:  # noqa: ANN401 - RecBole's Config
    """Whether LongInterest trains on windows (cross entropy) or on RecBole's prefix rows (BPR, benchmark files).

    Args:
        config: RecBole's config.

    Returns:
        True for windows.

    Raises:
        ValueError: if ``one_pass`` is neither True nor False.
    """
    one_pass = parse_switch(config["one_pass"])
    if one_pass is None:
        raise ValueError(f"one_pass must be True or False; got {config['one_pass']!r}.")
    return one_pass and config["loss_type"] == "CE" and not config["benchmark_filename"]


class BatchPlan(Sampler[list[int]]):
    """Batches of windows, dealt anew every epoch from the seed and the epoch, the same number to every rank.

    Args:
        windows: the training rows.
        batch_size: targets a batch, over all ranks together.
        seed: seed of the plan.
        shuffle: False gives the plan of epoch 0 every time.
        rank: this process.
        world_size: number of processes.
    """

    def __init__(
        self,
        windows: TrainingWindows,
        batch_size: int,
        seed: int,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.windows = windows
        self.batch_size = max(1, batch_size // world_size)
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self._planned: tuple[int, list[Tensor]] | None = None

    def set_epoch(self, epoch: int) -> None:
        """Deal the batches of this epoch next."""
        self.epoch = epoch

    def _batches(self) -> list[Tensor]:
        epoch = self.epoch if self.shuffle else 0
        if self._planned is None or self._planned[0] != epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            batches = plan_batches(self.windows, self.batch_size, generator)
            batches += (batches * self.world_size)[: -len(batches) % self.world_size]  # every rank gets the same number
            self._planned = (epoch, batches[self.rank :: self.world_size])
        return self._planned[1]

    def __iter__(self) -> Iterator[list[int]]:
        """The batches of this epoch; then the next epoch's are due, unless :meth:`set_epoch` says otherwise."""
        batches = self._batches()
        for batch in batches:
            yield batch.tolist()
        self.epoch += 1

    def __len__(self) -> int:
        """Batches of this epoch."""
        return len(self._batches())


class OnePassDataLoader(AbstractDataLoader):
    """Training loader over windows instead of prefix rows; ``train_batch_size`` counts targets, as in RecBole.

    A batch has the history fields of LongInterest and ``<item_id>_target_list``: the item that follows each position,
    0 where an earlier window has counted it or nothing follows.

    Args:
        config: RecBole's config.
        dataset: training part of the data set.
        sampler: RecBole's negative sampler; cross entropy over the catalogue needs none.
        shuffle: deal the batches anew every epoch.
    """

    def __init__(self, config: Any, dataset: LongInterestDataset, sampler: Any, shuffle: bool = False) -> None:  # noqa: ANN401
        width = config["MAX_ITEM_LIST_LENGTH"]
        if not isinstance(width, int) or width < 2:
            raise ValueError(f"MAX_ITEM_LIST_LENGTH must be at least 2 to train in one pass; got {width!r}.")
        position = dataset.inter_feat[POSITION]
        self.windows = plan_windows(position - dataset.inter_feat[dataset.item_list_length_field], position, width)
        self._is_target = torch.zeros(len(dataset.event_log[dataset.item_id_list_field]) + 1, dtype=torch.bool)
        self._is_target[position] = True
        # RecBole's constructor would plan batches of rows; these are the attributes it sets.
        self.config = config
        self.shuffle = shuffle
        self._dataset = dataset
        self._sampler = sampler
        self.model = None
        self.is_sequential = True
        self.transform = construct_transform(config)
        self.generator = torch.Generator().manual_seed(config["seed"])
        self._init_batch_size_and_step()
        alone = config["single_spec"]
        plan = BatchPlan(
            self.windows,
            config["train_batch_size"],
            config["seed"],
            shuffle,
            rank=0 if alone else torch.distributed.get_rank(),
            world_size=1 if alone else config["world_size"],
        )
        torch.utils.data.DataLoader.__init__(
            self,
            dataset=_WholeBatches(),
            batch_size=None,  # the sampler deals whole batches
            sampler=plan,
            collate_fn=self.collate_fn,
            num_workers=config["worker"],
            generator=self.generator,
        )

    def _init_batch_size_and_step(self) -> None:
        self._batch_size = self.step = self.config["train_batch_size"]

    def collate_fn(self, index: list[int]) -> Interaction:
        """The batch of these windows.

        Args:
            index: window numbers.

        Returns:
            Fields of shape [B, L], and the windows' lengths [B].
        """
        dataset, rows = self._dataset, torch.tensor(index)
        start, length, skip = self.windows.start[rows], self.windows.length[rows], self.windows.skip[rows]
        wanted = {dataset.item_id_list_field, *dataset.side_fields.values()}
        data = {dataset.item_list_length_field: length}
        for field in wanted & dataset.event_log.keys():
            data[field] = restore(gather_windows(dataset.event_log[field], start, length))
        target = restore(gather_windows(dataset.event_log[dataset.item_id_list_field], start + 1, length))
        counted = gather_windows(self._is_target, start + 1, length)
        counted &= torch.arange(target.shape[1]) >= skip.unsqueeze(1)
        data[dataset.target_list_field] = target.masked_fill_(~counted, 0)
        return self.transform(dataset, Interaction(data))


class _WholeBatches(Dataset[list[int]]):
    """Hands a batch's window numbers through to ``collate_fn``."""

    def __getitem__(self, batch: list[int]) -> list[int]:
        return batch
