"""Rows that no seed changes: run once in each order of ties, paired with every seed, candidates for the baseline."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from recbole_longinterest.experiments.comparison.analysis import Study
from recbole_longinterest.experiments.comparison.blocks import best_baseline, blocks_of
from recbole_longinterest.experiments.comparison.cell import Cell
from recbole_longinterest.experiments.comparison.driver import order_of
from recbole_longinterest.experiments.comparison.plan import Plan
from recbole_longinterest.experiments.comparison.rows import common_runs, full_rows, said_runs
from recbole_longinterest.experiments.comparison.seedless import is_computed
from recbole_longinterest.experiments.comparison.variants import variant_of
from recbole_longinterest.experiments.comparison.verdicts import verdict
from recbole_longinterest.experiments.comparison.views import Place, View

Made = Callable[..., Cell]
RNG = np.random.default_rng(0)
GOOD, FAIR, POOR = (RNG.integers(1, most, size=300).tolist() for most in (8, 12, 60))


@pytest.mark.parametrize("name", ["Pop", "Markov", "SeqEASE", "TALE", "VSKNN", "STAN", "EASE", "ItemKNN"])
def test_what_is_computed(name: str) -> None:
    assert is_computed(variant_of(name).model)


@pytest.mark.parametrize("name", ["LongInterest", "SASRec", "BPR", "ADMMSLIM", "eSASRec", "SASRec+text", "NoSuchModel"])
def test_what_is_trained(name: str) -> None:
    assert not is_computed(variant_of(name).model)


def test_a_row_without_a_seed_runs_once_for_each_order_of_ties() -> None:
    plan = Plan(["GRU4Rec", "SeqEASE"], ["a"], [1, 2, 3, 4], ties=("file", "random"))
    runs = [
        (place.view.ties, seed, place.tie_seed)
        for _, variant, seed, place in order_of(plan)
        if variant.name == "SeqEASE"
    ]
    assert runs == [("file", 1, 0), *(("random", 1, order) for order in range(3))]


@pytest.mark.parametrize("mode", ["uni100", {"valid": "full", "test": "pop100"}])
def test_sampled_candidates_are_drawn_with_the_seed(mode: object) -> None:
    plan = Plan(["Pop"], ["a"], [1, 2], given={"eval_args": {"mode": mode}})
    assert [seed for _, _, seed, _ in order_of(plan)] == [1, 2]
    full = replace(plan, given={"eval_args": {"mode": {"valid": "full", "test": "full"}}})
    assert [seed for _, _, seed, _ in order_of(full)] == [1]


def test_one_run_is_the_baseline_of_any_number_of_seeds(made: Made) -> None:
    cells = [made("LongInterest", seed, ranks) for seed, ranks in ((1, GOOD), (2, FAIR), (3, GOOD))]
    cells += [made("SASRec", seed, POOR, 0.1) for seed in (1, 2, 3)] + [made("Markov", 1, FAIR, 0.3)]
    study = Study("tiny", cells)
    (block,) = blocks_of([study], "native")
    assert (block.baseline, block.candidates, list(block.fewer)) == ("Markov", 2, [])
    ours = block.difference("LongInterest")
    assert ours is not None and ours.runs == 3 and verdict(study, block).endswith("3 seeds.")
    means = [row.means("native", "ndcg@10").mean() for row in study.rows]
    assert ours.relative == pytest.approx(means[0] / means[2] - 1)


def test_the_intervals_of_a_row_without_a_seed_are_over_users(made: Made) -> None:
    """All users are alike, so that users add nothing: the seeds of the other row are all that is uncertain."""
    cells = [made("LongInterest", seed, [rank] * 300) for seed, rank in ((1, 1), (2, 3), (3, 2))]
    (block,) = blocks_of([Study("tiny", [*cells, made("Pop", 1, [4] * 300)])], "native")
    low, high = block.intervals[1]
    assert low == pytest.approx(high)
    ours = block.difference("LongInterest")
    assert ours is not None and ours.high - ours.low > 0.1


def test_drawn_candidates_give_even_popularity_a_seed(made: Made) -> None:
    drawn, full = (Study("tiny", [made("Pop", 1, FAIR, candidates=candidates)]) for candidates in ("abc", None))
    assert [row.seedless for row in (*drawn.rows, *full.rows)] == [False, True]


def in_order(cell: Cell, tie_seed: int, run: int) -> Cell:
    """The same cell as a run in random order; it keeps its files."""
    return replace(cell, place=Place(View("random"), tie_seed, run))


def test_runs_are_paired_by_their_order_of_ties(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recbole_longinterest.experiments.comparison.rows.rows_file", rows_of_file)
    seeded = [in_order(made("SASRec", seed, FAIR), run % 3, run) for run, seed in enumerate((1, 2, 3, 4))]
    counted = [in_order(made("Pop", 10 + order, FAIR, 0.3), order, order) for order in range(3)]
    study = Study("tiny", [*seeded, *counted], View("random"))
    sasrec, pop = study.rows
    assert common_runs(sasrec, pop) == [((0,), 0, 0), ((1,), 1, 1), ((2,), 2, 2), ((3,), 3, 0)]
    assert common_runs(pop, sasrec) == [((0,), 0, 0), ((1,), 1, 1), ((2,), 2, 2), ((3,), 0, 3)]
    assert common_runs(pop, pop) == [((run,), run, run) for run in range(3)]
    assert best_baseline(study.rows, "native").place == 1
    stopped = Study("tiny", [*seeded, *counted[:2]], View("random"))  # as after Ctrl-C
    assert full_rows(stopped.rows, range(2)) == [0]
    assert list(best_baseline(stopped.rows, "native").fewer) == ["Pop"]


def test_three_orders_of_one_seed_are_no_three_seeds(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recbole_longinterest.experiments.comparison.rows.rows_file", rows_of_file)
    many = [in_order(made("SASRec", seed, FAIR), run, run) for run, seed in enumerate((1, 2, 3))]
    once = in_order(made("GRU4Rec", 1, GOOD, 0.9), 0, 0)
    study = Study("tiny", [*many, *(in_order(once, run, run) for run in range(3))], View("random"))
    chosen = best_baseline(study.rows, "native")
    assert (chosen.place, list(chosen.fewer)) == (0, ["GRU4Rec"])
    assert [row.said_seeds for row in study.rows] == ["3 seeds", "1 seed, 3 runs"]
    ours = in_order(made("LongInterest", 1, GOOD), 0, 0)
    single = Study("tiny", [*many, *(in_order(ours, run, run) for run in range(3))], View("random"))
    said = verdict(single, blocks_of([single], "native")[0])
    assert said.endswith("1 seed, 3 runs: the interval is over users and orders of ties, not over seeds.")
    assert said_runs(2, 3) == "2 seeds, 3 runs" and said_runs(1, 1) == "1 seed"


def rows_of_file(cell: Cell, found: dict[str, str]) -> object:
    """The test rows of ``made``, which are those of the order of the file."""
    return cell.output / "cells" / cell.dataset / f"rows-{found['split'][:12]}-{found['interactions']}.parquet"
