"""Slices with intervals."""

from collections.abc import Callable

import numpy as np
import pytest

from recbole_longinterest.experiments.comparison.analysis import Study
from recbole_longinterest.experiments.comparison.cell import Cell
from recbole_longinterest.experiments.comparison.groups import SMALL, groups_of

Made = Callable[..., Cell]


def test_groups_have_the_rows_values_and_intervals(made: Made) -> None:
    ranks = np.random.default_rng(1).integers(1, 30, size=600)
    cells = [made("GRU4Rec", seed, (ranks + seed).tolist()) for seed in (0, 1)] + [made("Pop", 0, ranks.tolist())]
    study = Study("tiny", cells)
    groups = {(group.kind, group.name): group for group in groups_of(study, "native")}
    group = groups["repeat", "in the history"]
    assert (group.rows, group.users, group.small) == (300, 300, False)
    values = [np.where(each <= 10, 1 / np.log2(each + 1.0), 0)[::2] for each in (ranks, ranks + 1)]
    assert group.means == pytest.approx([np.mean(values), values[0].mean()])
    for mean, (low, high) in zip(group.means, group.intervals, strict=True):
        assert low < mean < high
    error = values[0].std() / np.sqrt(300)
    low, high = group.intervals[1]
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.1)
    assert sum(group.rows for (kind, _), group in groups.items() if kind == "history") == 600


def test_a_small_group_is_marked(made: Made) -> None:
    study = Study("tiny", [made("GRU4Rec", 1, [3] * 150)])
    for group in groups_of(study, "native"):
        assert group.small == (group.users < SMALL)
    assert {group.small for group in groups_of(study, "native")} == {True, False}


def test_cold_targets_are_counted_among_all_and_among_themselves(made: Made) -> None:
    cell = made("GRU4Rec", 1, [3, 40, 3, 3, 40], cold=[0, 1])
    found = {group.name: group.means for group in groups_of(Study("tiny", [cell]), "native") if group.kind == "cold"}
    assert found == {"recall@10 among all items": [0.5], "recall@10 among cold items": [1.0]}


def test_runs_of_other_splits_are_averaged(made: Made) -> None:
    cells = [made("GRU4Rec", 1, [1] * 40), made("GRU4Rec", 2, [3] * 20, split="b" * 20)]
    (group,) = [each for each in groups_of(Study("tiny", cells), "native") if each.name == "in the history"]
    assert group.means == pytest.approx([0.75]) and group.rows == 15
