"""From finished cells to files for people."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_longinterest.experiments.comparison.cell import FAILED, Cell
from recbole_longinterest.experiments.comparison.driver import Outcome
from recbole_longinterest.experiments.comparison.plan import Plan
from recbole_longinterest.experiments.comparison.report import write_report

Made = Callable[..., Cell]


def outcome_of(*cells: Cell) -> Outcome:
    return Outcome(Plan(["LongInterest"], ["tiny"], [1, 2]), cells, False)


def test_files_say_what_the_cells_found(cell: Callable[..., Cell], tmp_path: Path) -> None:
    """Over cells that were trained."""
    cells = [cell(name, seed, run=True) for seed in (1, 2) for name in ("LongInterest", "GRU4Rec", "Markov")]
    broken, waiting = cell("NARM"), cell("SASRec")
    broken.end(FAILED, error="it has no <attention> left")
    text = write_report(outcome_of(*cells, broken, waiting), tmp_path)
    assert text == (tmp_path / "summary.md").read_text()
    for said in ("30 users, 20 items", "NARM, seed 1: it has no <attention> left", "1 cells have not run yet"):
        assert said in text
    assert "| best baseline |" in text.replace("**", "") and "SHA-256: tiny.inter " in text
    assert text.index("## Verdict") < text.index("## tiny") < text.index("## How to read it")

    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    result = cells[1].result()
    assert result is not None
    for protocol, value in (
        ("seen-masked", result["metrics"]["seen-masked"]["ndcg@10"]),
        ("validation", result["validation"]["score"]),
        ("validation, seen-masked", result["choices"]["seen-masked"]["score"]),
    ):
        wanted = {"model": "GRU4Rec", "seed": "1", "protocol": protocol, "metric": "ndcg@10"}
        (found,) = [row for row in rows if wanted.items() <= row.items()]
        assert float(found["value"]) == value
    assert int(found["parameters"]) == result["parameters"]
    assert {"itemcoverage@10", "giniindex@10"} <= {row["metric"] for row in rows}

    table = pd.read_parquet(tmp_path / "per_user.parquet")
    assert len(table) == 30 * 6 and {"user", "item", "history", "cold", "drift", "rank_masked"} <= set(table)
    own = table[(table["model"] == "GRU4Rec") & (table["seed"] == 1)]
    gain = np.where(own["rank_masked"] <= 10, 1 / np.log2(own["rank_masked"] + 1), 0)
    assert gain.mean() == pytest.approx(result["metrics"]["seen-masked"]["ndcg@10"])

    html = (tmp_path / "summary.html").read_text()
    assert "it has no &lt;attention&gt; left" in html and html.count("data:image/png;base64,") == 4
    assert r"\toprule" in (tmp_path / "table.tex").read_text()
    for name in ("means-tiny", "differences-tiny", "slices-tiny-native", "slices-tiny-seen-masked"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000


def test_slices_beyond_accuracy_and_single_seeds_have_their_marks(made: Made, tmp_path: Path) -> None:
    cells = [made("LongInterest", 1, [2] * 120), made("GRU4Rec", 1, [5] * 120), made("Pop", 1, [9] * 120)]
    text = write_report(outcome_of(*cells), tmp_path)
    assert "history: 1 to 5 events † | 20 | 20 | 0.6309 ±0.0000" in text.replace("**", "")
    assert "repeat: in the history † | 60 | 60" in text
    assert "0.510 ±0.039" in text  # 1.96 standard errors of 0.02
    assert "| 1 seed (users only) |" in text and "| no seed (users only) |" in text
    assert 'class="faint"' in (tmp_path / "summary.html").read_text()


def test_plots_of_tables_that_are_not_in_the_report_are_removed(made: Made, tmp_path: Path) -> None:
    for name in ("means-other.png", "means-mine.png"):
        (tmp_path / name).touch()
    (tmp_path / "summary.md").write_text("![ndcg@10 of every model on other](means-other.png)")
    text = write_report(outcome_of(made("LongInterest", 1, [2] * 120), made("Pop", 1, [9] * 120)), tmp_path)
    assert not (tmp_path / "means-other.png").exists() and (tmp_path / "means-mine.png").exists()
    assert "half the width of the 95 % interval over users, without" in text and "at most 6" in text


def test_nothing_is_bold_where_the_best_row_is_open(made: Made, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ranks = rng.integers(2, 20, size=200)
    close = np.random.default_rng(1).permutation(ranks)
    text = write_report(outcome_of(made("Pop", 1, ranks.tolist()), made("LongInterest", 1, close.tolist())), tmp_path)
    assert "is open" in text and "**" not in text
    text = write_report(outcome_of(made("Pop", 1, ranks.tolist()), made("LongInterest", 1, [1] * 200)), tmp_path)
    assert "**LongInterest**" in text and "**wins**" in text


def test_cells_of_an_earlier_version_are_marked(made: Made, tmp_path: Path) -> None:
    cells = [made("LongInterest", 1, [2, 3, 4]), made("Pop", 1, [3, 4, 5], choices=None)]
    text = write_report(outcome_of(*cells), tmp_path)
    assert "tuned, epoch chosen natively |" in text
    assert "Runs of an earlier version, whose epoch was chosen by native validation scores: Pop." in text
    assert "the baseline was chosen by native validation scores" in text


def test_a_comparison_without_results_has_a_report(cell: Callable[..., Cell], tmp_path: Path) -> None:
    text = write_report(outcome_of(cell("SASRec")), tmp_path)
    assert "1 cells have not run yet" in text and (tmp_path / "table.tex").read_text() == ""
