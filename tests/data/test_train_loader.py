"""Batches of windows: planned from seed and epoch, dealt evenly, weighted by their targets."""

import torch

from recbole_longinterest.data.train_loader import BatchPlan
from recbole_longinterest.data.windows import TrainingWindows, plan_windows


def windows() -> TrainingWindows:
    sizes = torch.randint(2, 40, (50,), generator=torch.Generator().manual_seed(0))
    start = torch.cat([torch.zeros(1, dtype=torch.int64), sizes.cumsum(0)[:-1]])
    owner = torch.repeat_interleave(torch.arange(50), sizes - 1)
    within = torch.cat([torch.arange(1, int(size)) for size in sizes])
    return plan_windows(start[owner], start[owner] + within, 8)


def test_ranks_get_the_same_number_of_batches_and_every_window() -> None:
    plans = [BatchPlan(windows(), 40, seed=1, rank=rank, world_size=3) for rank in range(3)]
    dealt = [list(plan) for plan in plans]
    assert len({len(batches) for batches in dealt}) == 1 and len(dealt[0]) > 5
    assert {window for batches in dealt for batch in batches for window in batch.windows} == set(range(len(windows())))


def test_more_ranks_than_batches_still_get_one_each() -> None:
    plans = [BatchPlan(windows(), 10**9, seed=1, rank=rank, world_size=4) for rank in range(4)]
    assert [len(list(plan)) for plan in plans] == [1, 1, 1, 1]


def test_a_batchs_weight_is_its_share_of_the_targets_of_all_ranks() -> None:
    cut = windows()
    dealt = [list(BatchPlan(cut, 40, seed=1, rank=rank, world_size=3)) for rank in range(3)]
    for step in zip(*dealt, strict=True):
        targets = [int(cut.n_targets[torch.tensor(batch.windows)].sum()) for batch in step]
        # the mean over ranks of weight * (sum of losses / targets) is the mean loss of all targets
        expected = [3 * number / sum(targets) for number in targets]
        assert torch.allclose(torch.tensor([batch.weight for batch in step]), torch.tensor(expected))
    assert all(batch.weight == 1.0 for batch in BatchPlan(cut, 40, seed=1))


def test_the_plan_follows_seed_and_epoch() -> None:
    first, again, other = BatchPlan(windows(), 40, 1), BatchPlan(windows(), 40, 1), BatchPlan(windows(), 40, 2)
    assert list(first) == list(again) != list(other)
    second = list(first)  # the next epoch
    again.set_epoch(1)
    assert list(again) == second
    again.set_epoch(0)
    assert list(again) != second
    still = BatchPlan(windows(), 40, 1, shuffle=False)
    assert list(still) == list(still)
