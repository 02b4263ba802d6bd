"""Windows of the flat log: every target once, enough context, padding, batches."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_longinterest.data.windows import POSITIONS, gather_windows, plan_batches, plan_windows


def test_gather_pads_with_zeros_at_the_end() -> None:
    values = torch.arange(1, 11)
    got = gather_windows(values, torch.tensor([0, 4, 8]), torch.tensor([3, 1, 2]))
    assert got.tolist() == [[1, 2, 3], [5, 0, 0], [9, 10, 0]]
    assert gather_windows(values, torch.tensor([8]), torch.tensor([2]), width=4).tolist() == [[9, 10, 0, 0]]
    pairs = gather_windows(values.view(5, 2), torch.tensor([3]), torch.tensor([2]), width=3)
    assert pairs.tolist() == [[[7, 8], [9, 10], [0, 0]]]


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    width=st.integers(2, 21),
    hidden=st.integers(0, 3),
)
def test_every_target_is_counted_once_and_sees_half_a_window(sizes: list[int], width: int, hidden: int) -> None:
    starts, targets, begin = [], [], 0
    for size in sizes:  # the last `hidden` events of each history belong to validation and test
        last = size - hidden
        starts += [begin] * max(0, last - 1)
        targets += range(begin + 1, begin + last)
        begin += size
    windows = plan_windows(torch.tensor(starts, dtype=torch.int64), torch.tensor(targets, dtype=torch.int64), width)
    counted = []
    history = dict(zip(targets, starts, strict=True))
    for start, length, skip, n in zip(
        windows.start.tolist(), windows.length.tolist(), windows.skip.tolist(), windows.n_targets.tolist(), strict=True
    ):
        assert 1 <= length <= width
        assert n == length - skip
        for position in range(skip, length):
            target = start + position + 1
            counted.append(target)
            assert position + 1 >= min(target - history[target], width // 2)
            assert start >= history[target]
    assert sorted(counted) == sorted(targets)


def test_targets_with_gaps_are_counted_once() -> None:
    targets = torch.tensor([3, 4, 9, 17])
    windows = plan_windows(torch.zeros(4, dtype=torch.int64), targets, 6)
    counted = [
        start + position + 1
        for start, length, skip in zip(
            windows.start.tolist(), windows.length.tolist(), windows.skip.tolist(), strict=True
        )
        for position in range(skip, length)
    ]
    assert windows.n_targets.sum() == 4
    assert all(counted.count(target) == 1 for target in targets.tolist())


def test_no_target_gives_no_window() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    assert len(plan_windows(none, none, 10)) == 0


def test_batches_hold_every_window_once_and_depend_on_the_seed_alone() -> None:
    start = torch.repeat_interleave(torch.arange(0, 5000, 100), 99)
    windows = plan_windows(start, start + torch.arange(1, 100).repeat(50), 20)
    first, second, other = (plan_batches(windows, 256, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert sorted(torch.cat(first).tolist()) == list(range(len(windows)))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=False))
    assert all(int(windows.n_targets[batch].sum()) <= 256 for batch in first)


def test_few_targets_do_not_make_long_batches() -> None:
    """One event in fifty is a target: batches are bounded by their positions, too."""
    start = torch.arange(40).repeat_interleave(10) * 500
    windows = plan_windows(start, start + 50 * torch.arange(1, 11).repeat(40) - 1, 500)
    batches = plan_batches(windows, 100, torch.Generator().manual_seed(0))
    assert sorted(torch.cat(batches).tolist()) == list(range(len(windows)))
    positions = [len(batch) * int(windows.length[batch].max()) for batch in batches]
    assert 0 < max(positions) <= POSITIONS * 100
    assert len(batches) > int(windows.n_targets.sum()) / 100 * 1.5  # as many targets as fit would be half of them
