"""Orders of ties and splits of a comparison: each a table, three orders averaged, the usual one as it was before."""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recbole_longinterest import LongInterestError, compare
from recbole_longinterest.cli import main
from recbole_longinterest.common.ties import Ties
from recbole_longinterest.experiments.comparison import driver
from recbole_longinterest.experiments.comparison.analysis import studies_of
from recbole_longinterest.experiments.comparison.blocks import blocks_of
from recbole_longinterest.experiments.comparison.cell import RESULT, Cell
from recbole_longinterest.experiments.comparison.cells import run_cell
from recbole_longinterest.experiments.comparison.checks import check_plan
from recbole_longinterest.experiments.comparison.driver import Outcome, cell_of, order_of
from recbole_longinterest.experiments.comparison.groups import groups_of
from recbole_longinterest.experiments.comparison.lists import list_cells
from recbole_longinterest.experiments.comparison.plan import Plan
from recbole_longinterest.experiments.comparison.report import write_report
from recbole_longinterest.experiments.comparison.slices import slices_of
from recbole_longinterest.experiments.comparison.variants import variant_of
from recbole_longinterest.experiments.comparison.views import About, Place, View, headline, read_views
from tests.conftest import FakeEncoder, synthetic_item
from tests.data.test_ties import days
from tests.experiments.comparison.conftest import SMALL

FILE, RANDOM = View(), View("random")
BY_TIME = View("file", "time")
GIVEN: dict[str, Any] = {**SMALL, "text_fields": ["title", "class"], "text_dim": 4, "strict_keys": False}
NONE = Ties(10, 0, 0, 5, 0, 5, 0)


def test_a_run_has_an_order_of_its_own_and_a_row_three_runs_at_least() -> None:
    assert FILE.runs([7, 8]) == [(7, 0), (8, 0)] and FILE.runs([]) == [] == RANDOM.runs([])
    assert RANDOM.runs([7]) == [(7, 0), (7, 1), (7, 2)]
    assert RANDOM.runs([7, 8]) == [(7, 0), (8, 1), (7, 2)]
    assert RANDOM.runs([1, 2, 3, 4, 5]) == [(1, 0), (2, 1), (3, 2), (4, 0), (5, 1)]


def test_views_are_settings_and_names() -> None:
    given = {"epochs": 3, "split_by_time": [0.5, 0.9], "split_targets": "last"}
    assert FILE.settings({"epochs": 3}, 0) == {"epochs": 3} == FILE.settings(given, 0)
    assert RANDOM.settings({}, 2) == {"tie_order": "random", "tie_seed": 2}
    assert BY_TIME.settings({}, 0) == {"split_by_time": [0.8, 0.9]} and BY_TIME.settings(given, 0) == given
    both = View("random", "time")
    assert (FILE.table("ml"), both.table("ml")) == ("ml", "ml, ties in random order, split by time")
    assert (FILE.key("ml"), both.key("ml")) == ("ml", "ml-random-ties-by-time")
    assert read_views(["file", "random"], ["leave-one-out", "time"], {}) == [FILE, RANDOM, BY_TIME, both]


@pytest.mark.parametrize(
    ("ties", "splits", "given", "message"),
    [
        (["files"], ["time"], {}, "--ties takes file and random; got files"),
        (["file"], [], {}, "--split takes leave-one-out and time; got none"),
        (["file"], ["time"], {"tie_seed": 3}, "compare sets tie_seed itself; leave it out, and give --ties"),
        (["file"], ["leave-one-out"], {"split_by_time": [0.8, 0.9]}, "split_by_time needs a split by time; give"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(ties: list[str], splits: list[str], given: dict[str, Any], message: str) -> None:
    with pytest.raises(LongInterestError, match=message):
        compare(["Pop"], ["ml-100k"], output="out", ties=ties, splits=splits, settings=given, show_progress=False)
    assert not Path("out").exists()


def test_lists_are_of_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "top.csv"
    file.write_text("user,item,rank\nu1,i1,1\n")
    given = {"split_by_time": [0.5, 0.9]}
    (cell,) = list_cells({"Other": str(file)}, {}, ["tiny"], given, 1, tmp_path, [RANDOM, BY_TIME])
    assert cell.place == Place(BY_TIME) and cell.settings["split_by_time"] == [0.5, 0.9]
    (usual,) = list_cells({"Other": str(file)}, {}, ["tiny"], given, 1, tmp_path, [FILE, BY_TIME])
    assert usual.place == Place(FILE) and "split_by_time" not in usual.settings
    with pytest.raises(LongInterestError, match="Lists belong to one order of ties"):
        list_cells({"Other": str(file)}, {}, ["tiny"], given, 1, tmp_path, [RANDOM])


@pytest.mark.parametrize("option", ["--ties=file,random", "--split=time"])
def test_an_exported_split_is_chosen_by_settings(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["compare", "--export-split", "split", option]) == 2
    assert "--export-split writes one split, chosen by settings" in capsys.readouterr().err


def test_the_headline_is_the_random_order_where_it_matters() -> None:
    many, few = About(replace(NONE, tied=4, test_tied=1)), About(NONE)
    assert many.matters and not few.matters
    assert headline([FILE], FILE, {FILE: many}) and headline([RANDOM], RANDOM, {})
    assert [headline([FILE, RANDOM], view, {RANDOM: many}) for view in (FILE, RANDOM)] == [False, True]
    assert [headline([FILE, RANDOM], view, {FILE: few}) for view in (FILE, RANDOM)] == [True, False]
    assert headline([FILE, RANDOM, BY_TIME], BY_TIME, {RANDOM: many})


def test_runs_are_in_an_order_that_compares_early(tmp_path: Path) -> None:
    plan = Plan(["GRU4Rec", "SASRec"], ["a"], [1, 2], once=["Pop"], given={}, ties=("file", "random"))
    order = [(variant.name, seed, place.tie_seed, place.run) for _, variant, seed, place in order_of(plan)]
    assert order[:5] == [
        *(("GRU4Rec", 1, 0, 0), ("SASRec", 1, 0, 0), ("Pop", 1, 0, 0)),
        *(("GRU4Rec", 2, 0, 1), ("SASRec", 2, 0, 1)),
    ]
    assert order[5:] == [
        *(("GRU4Rec", 1, 0, 0), ("SASRec", 1, 0, 0), ("Pop", 1, 0, 0)),
        *(("GRU4Rec", 2, 1, 1), ("SASRec", 2, 1, 1), ("Pop", 1, 1, 1)),
        *(("GRU4Rec", 1, 2, 2), ("SASRec", 1, 2, 2), ("Pop", 1, 2, 2)),
    ]


def test_the_usual_cells_are_those_of_before(tmp_path: Path) -> None:
    usual = Plan(["GRU4Rec"], ["ml-100k"], [1], given={"epochs": 2})
    plan = replace(usual, ties=("file", "random"), splits=("leave-one-out", "time"))
    cells = [cell_of(plan, dataset, variant, seed, tmp_path, place) for dataset, variant, seed, place in order_of(plan)]
    before = cell_of(usual, "ml-100k", variant_of("GRU4Rec"), 1, tmp_path)
    assert cells[0].folder == before.folder and not {"tie_order", "split_by_time"} & cells[0].settings.keys()
    assert len({cell.folder for cell in cells}) == len(cells) == 1 + 3 + 1 + 3
    assert [cell.run for cell in cells[:4]] == ["seed 1", *(f"seed 1, tie seed {order}" for order in range(3))]


@pytest.fixture
def compared(write_dataset: Callable[..., Path], fake_encoder: FakeEncoder, tmp_path: Path) -> Callable[..., Outcome]:
    """Compare in this process, on days of events that tie."""

    def run(
        models: Sequence[str], seeds: Sequence[int] = (1,), once: Sequence[str] = (), given: Any = None, **more: Any
    ) -> Outcome:
        root = write_dataset("tiny", days(), synthetic_item())
        settings = {**GIVEN, "data_path": str(root), **(given or {})}
        plan = Plan(list(models), ["tiny"], list(seeds), list(once), given=settings, **more)
        cells = [cell_of(plan, name, variant, seed, tmp_path / "out", at) for name, variant, seed, at in order_of(plan)]
        expected, cannot, about = check_plan(plan, cells)
        assert not cannot
        for cell in cells:
            if not cell.finished:
                cell.folder.mkdir(parents=True, exist_ok=True)
                run_cell(cell, expected[cell.data_key])
        return Outcome(plan, cells, False, about=about)

    return run


def test_each_order_is_a_table_with_its_own_targets(compared: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = compared(["GRU4Rec", "Pop"], seeds=(1, 2, 3, 4), once=["Markov"], ties=("file", "random"))
    assert outcome.about["tiny"].ties.tied == 360 and outcome.about["tiny"].ties.ordered
    assert not outcome.about["tiny, ties in random order"].ties.ordered
    shuffled, file = studies_of(outcome)
    assert (shuffled.dataset, file.dataset) == ("tiny, ties in random order", "tiny")
    assert (shuffled.headline, file.headline) == (True, False)
    assert (len(shuffled.splits), len(file.splits)) == (3, 1)
    items = [split.table["item"].tolist() for split in shuffled.splits]
    assert items[0] != items[1] != items[2] and file.table["item"].tolist() not in items
    gru, pop, markov = shuffled.rows
    assert ([run.tie_seed for run in gru.runs], gru.seeds) == ([0, 1, 2, 0], [1, 2, 3, 4])
    assert (markov.keys, gru.keys[:3], markov.seeds) == ([(0,), (1,), (2,)], markov.keys, [1, 1, 1])
    assert [row.seedless for row in shuffled.rows] == [False, True, True] and pop.keys == markov.keys
    assert [len(row.runs) for row in file.rows] == [4, 1, 1]
    # Means are over runs of all orders; a difference is over the runs that both have, which have the same targets.
    values = np.stack([run.values("native", "ndcg@10") for run in gru.runs])
    reported = [result["metrics"]["native"]["ndcg@10"] for result in gru.results]
    assert values.mean(axis=1).tolist() == pytest.approx(reported)
    means, _, common = shuffled.ratios("native", 0)
    beside = markov.means("native", "ndcg@10")[[0, 1, 2, 0]]  # every run of the other row with that of its order
    assert means[2] == pytest.approx(beside.mean() / values.mean())
    assert common == [4, 4, 4]
    # A slice holds in every order the targets that are in it there.
    own = [slices_of(split.table)["repeat"]["new to the user"] for split in shuffled.splits]
    assert (own[0] != own[1]).any()
    wanted = np.mean([values[run][own[run % 3]].mean() for run in range(4)])
    (group,) = [group for group in groups_of(shuffled, "native") if group.name == "new to the user"]
    assert group.means[0] == pytest.approx(wanted) and group.rows == round(np.mean([mask.sum() for mask in own]))

    text = write_report(outcome, tmp_path)
    assert text.index("## tiny, by order of ties and split") < text.index("## tiny, ties in random order")
    assert "| ndcg@10, native | ties in random order (headline) | file order |" in text
    mean = f"{np.mean(reported):.4f} (4)"
    assert f"| GRU4Rec | {mean} |" in text.replace("**", "")
    assert "The items' ids ascend in 252 of these pairs (70 %), which a model can learn" in text  # as texts
    assert "this table, with a mean over orders, is the headline" in text
    tail = text[text.index("## tiny\n") :]
    assert "is the table with ties in random order" in tail
    assert not any(f"| {verdict} |" in tail.replace("**", "") for verdict in ("wins", "loses", "open"))
    assert (tmp_path / "means-tiny-random-ties.png").is_file() and "(means-tiny-random-ties.png)" in text
    with (tmp_path / "results.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["metric"] == "ndcg@10" and row["protocol"] == "native"]
    seeds = [(row["seed"], row["tie_seed"]) for row in rows if row["model"] == "GRU4Rec" and "," in row["dataset"]]
    assert seeds == [("1", "0"), ("2", "1"), ("3", "2"), ("4", "0")]
    table = pd.read_parquet(tmp_path / "per_user.parquet")
    assert set(table[table["dataset"] == "tiny"]["tie_seed"]) == {0} and set(table["tie_seed"]) == {0, 1, 2}


def test_one_order_of_many_ties_says_so(compared: Callable[..., Outcome], tmp_path: Path) -> None:
    text = write_report(compared(["Pop"]), tmp_path)
    assert "this table uses one order of ties: --ties file,random gives the mean" in text
    assert "by order of ties and split" not in text


@pytest.mark.parametrize("ties", ["file", "random"])
def test_a_split_by_time_is_a_table(compared: Callable[..., Outcome], tmp_path: Path, ties: str) -> None:
    thirds = {"split_by_time": [0.34, 0.67]}  # a day each
    models = ["LongInterest", "GRU4Rec", "Pop", "BPR"]
    outcome = compared(models, ties=(ties,), splits=("leave-one-out", "time"), given=thirds)
    usual, by_time = studies_of(outcome)
    assert by_time.dataset.endswith("split by time") and not by_time.pooled
    assert by_time.headline and usual.headline
    rows = by_time.rows[0].results[0]["data"]["rows"]
    assert rows == [120, 160, 160]  # every event of a day, not one of a user
    assert len(by_time.table) == rows[2] == len(by_time.table.drop_duplicates(["user", "history"]))
    assert {row.name for row in by_time.rows} == {"LongInterest", "GRU4Rec", "Pop", "BPR"}
    text = write_report(outcome, tmp_path)
    assert ("headline" in text) == (ties == "random") and "Figures of different splits are not comparable" in text
    assert "The split by time trains on events before" in text and "items that have no training event." in text
    assert [block.dataset for block in blocks_of([usual, by_time], "native")] == [usual.dataset, by_time.dataset]


def test_a_finished_cell_of_the_usual_view_is_taken_as_it_is(compared: Callable[..., Outcome]) -> None:
    """What was finished before there were views, whose result does not name one, is not run again."""
    (cell,) = compared(["Pop"]).cells
    file = cell.folder / RESULT
    result = json.loads(file.read_text())
    del result["place"]
    for name in ("tie_order", "tie_seed", "split_by_time", "split_targets"):
        result["manifest"]["config"].pop(name, None)
    old = json.dumps(result)
    file.write_text(old)
    again = compared(["Pop"], ties=("file", "random"))
    assert again.cells[0].folder == cell.folder and file.read_text() == old and len(again.cells) == 4


def test_other_data_is_found_in_every_order(compared: Callable[..., Outcome]) -> None:
    outcome = compared(["Pop"], ties=("random",))
    expected = {cell.data_key: cell.result()["data"]["split"] for cell in outcome.cells}  # type: ignore[index]
    assert len(set(expected.values())) == 3
    one, other = outcome.cells[0], outcome.cells[1]
    (other.folder / RESULT).write_text((one.folder / RESULT).read_text())
    with pytest.raises(LongInterestError, match="holds a finished run that would be different now"):
        check_plan(outcome.plan, outcome.cells)


@pytest.mark.slow
def test_the_function_compares_both(write_dataset: Callable[..., Path], tmp_path: Path) -> None:
    root = write_dataset("tiny", days())
    settings = {"data_path": str(root), "epochs": 1, "state": "WARNING", "split_by_time": [0.5, 0.9]}
    outcome = compare(
        ["Pop"],
        ["tiny"],
        output=tmp_path / "out",
        seeds=[7],
        ties=("file", "random"),
        splits=("leave-one-out", "time"),
        settings=settings,
        show_progress=False,
    )
    assert [cell.place.tie_seed for cell in outcome.cells] == [0, 0, 1, 2, 0, 0, 1, 2] and not outcome.failed
    assert all(isinstance(cell, Cell) and cell.place != Place() for cell in outcome.cells[1:])
    assert "by order of ties and split" in (tmp_path / "out" / "summary.md").read_text()
    assert driver.PLAN in {file.name for file in (tmp_path / "out").iterdir()}
