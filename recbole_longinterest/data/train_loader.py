"""One-pass training batches: windows of the log with a target at every position."""

from collections.abc import Iterator
from typing import Any, NamedTuple  # noqa: F401

import torch
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.data.interaction import Interaction
from torch import Tensor
from torch.utils.data import Sampler

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.data.log_rows import restore
from recbole_longinterest.data.planned_loader import deal_batches
from recbole_longinterest.data.windows import TrainingWindows, gather_windows, plan_batches, plan_windows
from recbole_longinterest.nn.losses import LOSSES
from recbole_longinterest.nn.options import read_switch


def trains_in_one_pass(config: Settings, required: bool = False) -> bool:
    """Whether a model trains on windows or on RecBole's prefix rows.

    Windows need a loss that supports them: one with the flag ``windows``, or one of the ``window_losses`` of the model
    class. BPR and benchmark files need prefix rows.

    Args:
        config: RecBole's config.
        required: whether the user set ``one_pass: True``; a default falls back to prefix rows.

    Returns:
        True for windows.

    Raises:
        ValueError: if ``one_pass`` is neither True nor False, or is required but not possible.
    """
    one_pass = read_switch(config, "one_pass", default=False)
    loss = str(config["loss_type"]).lower()  # names of losses are not case-sensitive
    own = getattr(getattr(config, "model_class", None), "window_losses", ())
    possible = loss in map(str.lower, own) or any(LOSSES.get(name).windows for name in LOSSES if name.lower() == loss)
    possible = possible and not config["benchmark_filename"]
    if one_pass and required and not possible:
        raise LongInterestError(
            "one_pass: True needs loss_type: CE and no benchmark_filename; got "
            f"loss_type: {config['loss_type']}, benchmark_filename: {config['benchmark_filename']}. "
            "Set one_pass: False."
        )
    return one_pass and possible


LOSS_WEIGHT = "loss_weight"  # field of a batch, [1], see PlannedBatch.weight; only with several processes


class PlannedBatch(NamedTuple):
    """A batch of one rank.

    Attributes:
        windows: indices of its windows.
        weight: weight of its loss: its share of the targets of all ranks' batches, times the number of ranks. Gradients
            are averaged over the ranks, so with this weight all targets count equally.
    """

    windows: list[int]
    weight: float


class BatchPlan(Sampler[PlannedBatch]):
    """Batches of windows, drawn for every epoch from the seed and the epoch. All ranks get the same number of batches.

    Args:
        windows: the training rows.
        batch_size: targets per step, summed over all ranks.
        seed: seed of the plan.
        shuffle: if False, every epoch has the batches of epoch 0.
        rank: rank of this process.
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
        self._planned: tuple[int, list[PlannedBatch]] | None = None

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration."""
        self.epoch = epoch

    def _batches(self) -> list[PlannedBatch]:
        epoch = self.epoch if self.shuffle else 0
        if self._planned is None or self._planned[0] != epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            batches = plan_batches(self.windows, self.batch_size, generator)
            batches += (batches * self.world_size)[: -len(batches) % self.world_size]  # every rank gets the same number
            dealt = [batches[i : i + self.world_size] for i in range(0, len(batches), self.world_size)]
            self._planned = (epoch, [self._own(step) for step in dealt])
        return self._planned[1]

    def _own(self, step: list[Tensor]) -> PlannedBatch:
        """Choose this rank's batch from those of one step."""
        targets = [int(self.windows.n_targets[batch].sum()) for batch in step]
        return PlannedBatch(step[self.rank].tolist(), targets[self.rank] * self.world_size / sum(targets))

    def __iter__(self) -> Iterator[PlannedBatch]:
        """Iterate over the batches of the current epoch, then advance to the next one."""
        yield from self._batches()
        self.epoch += 1

    def __len__(self) -> int:
        """Number of batches of the current epoch."""
        return len(self._batches())


class OnePassDataLoader(AbstractDataLoader):
    """Training loader over windows instead of prefix rows; ``train_batch_size`` counts targets, as in RecBole.

    A batch has the model's history fields and ``<item_id>_target_list``: the item after each position, or 0 if that
    item is not a target or already counts in an earlier window.

    Args:
        config: RecBole's config.
        dataset: training part of the data set.
        sampler: RecBole's negative sampler; not used by cross entropy over all items.
        shuffle: draw new batches every epoch.
    """

    def __init__(
        self, config: Settings, dataset: FlatSequentialDataset, sampler: object, shuffle: bool = False
    ) -> None:
        width = config["MAX_ITEM_LIST_LENGTH"]
        if not isinstance(width, int) or width < 2:
            raise LongInterestError(f"MAX_ITEM_LIST_LENGTH must be at least 2 to train in one pass; got {width!r}.")
        position = dataset.inter_feat.position.long()
        self.windows = plan_windows(dataset.inter_feat.history_start(), position, width)
        self._is_target = torch.zeros(len(dataset.event_log[dataset.item_seq_field]) + 1, dtype=torch.bool)
        self._is_target[position] = True
        self.target_list_field = dataset.target_list_field
        self.shuffle = shuffle
        alone = config["single_spec"]
        plan = BatchPlan(
            self.windows,
            config["train_batch_size"],
            config["seed"],
            shuffle,
            rank=0 if alone else torch.distributed.get_rank(),
            world_size=1 if alone else config["world_size"],
        )
        deal_batches(self, config, dataset, sampler, plan)

    def _init_batch_size_and_step(self) -> None:
        self._batch_size = self.step = self.config["train_batch_size"]

    def probe(self) -> Interaction:
        """Make a batch of some of the longest windows, without a loss weight, to test a model."""
        longest = torch.argsort(self.windows.length, descending=True, stable=True)[:4]
        return self._windows(longest)

    def collate_fn(self, batch: PlannedBatch) -> Interaction:
        """Make the batch of these windows.

        Args:
            batch: indices of the windows, and the weight of the loss.

        Returns:
            Fields of shape [B, L], the windows' lengths [B], and with several ranks the weight of the loss [1].
        """
        data = self._windows(torch.tensor(batch.windows))
        if not self.config["single_spec"]:
            data[LOSS_WEIGHT] = torch.tensor([batch.weight])
        return data

    def _windows(self, rows: Tensor) -> Interaction:
        dataset = self._dataset
        start, length, skip = self.windows.start[rows], self.windows.length[rows], self.windows.skip[rows]
        data = {dataset.item_list_length_field: length}
        for field in dataset.history_fields:
            data[field] = restore(gather_windows(dataset.event_log[field], start, length))
        for field, source in dataset.request_fields.items():  # values of the event that each position predicts
            data[field] = gather_windows(dataset.event_log[source], start + 1, length)
        target = restore(gather_windows(dataset.event_log[dataset.item_seq_field], start + 1, length))
        counted = gather_windows(self._is_target, start + 1, length)
        counted &= torch.arange(target.shape[1]) >= skip.unsqueeze(1)
        data[dataset.target_list_field] = target.masked_fill_(~counted, 0)
        return self.transform(dataset, Interaction(data))
