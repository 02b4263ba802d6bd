"""From finished cells to files for people."""

import csv
import xml.etree.ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_longinterest.experiments.comparison import analysis, blocks
from recbole_longinterest.experiments.comparison.analysis import Study
from recbole_longinterest.experiments.comparison.blocks import blocks_of
from recbole_longinterest.experiments.comparison.cell import FAILED, Cell
from recbole_longinterest.experiments.comparison.driver import Outcome
from recbole_longinterest.experiments.comparison.plan import Plan
from recbole_longinterest.experiments.comparison.report import write_report
from recbole_longinterest.experiments.documents import Table, latex, markdown, page


@pytest.fixture
def outcome(cell: Callable[..., Cell]) -> Outcome:
    cells = [cell(name, seed, run=True) for seed in (1, 2) for name in ("LongInterest", "GRU4Rec", "Markov")]
    broken, waiting = cell("NARM"), cell("SASRec")
    broken.end(FAILED, error="it has no <attention> left")
    return Outcome(Plan(["LongInterest"], ["tiny"], [1, 2]), [*cells, broken, waiting], False)


def test_files_say_what_the_cells_found(outcome: Outcome, tmp_path: Path) -> None:
    text = write_report(outcome, tmp_path)
    assert text == (tmp_path / "summary.md").read_text()
    for said in ("30 users, 20 items", "NARM, seed 1: it has no <attention> left", "1 cells have not run yet"):
        assert said in text
    assert "| best baseline |" in text.replace("**", "") and "SHA-256: tiny.inter " in text

    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    result = outcome.cells[1].result()
    assert result is not None
    wanted = {"model": "GRU4Rec", "seed": "1", "protocol": "seen-masked", "metric": "ndcg@10"}
    (found,) = [row for row in rows if wanted.items() <= row.items()]
    assert float(found["value"]) == result["metrics"]["seen-masked"]["ndcg@10"]
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
    assert all((tmp_path / f"{name}-tiny.png").stat().st_size > 5000 for name in ("means", "differences"))


def test_a_difference_is_of_the_seeds_mean_and_paired(outcome: Outcome) -> None:
    study = Study("tiny", outcome.cells)
    assert [row.name for row in study.rows] == ["LongInterest", "GRU4Rec", "Markov"]
    (block,) = blocks_of([study], "native")
    assert block.baseline == "GRU4Rec"
    assert {entry.name for entry in block.differences} == {"LongInterest", "Markov"}
    results = [cell.result() for cell in outcome.cells[:6]]
    means = {
        name: np.mean([r["metrics"]["native"]["ndcg@10"] for r in results if r is not None and r["name"] == name])
        for name in block.names
    }
    assert dict(zip(block.names, block.means, strict=True)) == pytest.approx(means)
    for entry in block.differences:
        assert entry.relative == pytest.approx(means[entry.name] / means["GRU4Rec"] - 1)
        assert entry.low <= entry.relative <= entry.high and 0 < entry.p <= 1
        clear = entry.p < 0.05
        assert entry.verdict == ("wins" if clear and entry.low > 0 else "loses" if clear and entry.high < 0 else "open")


def test_a_win_needs_the_corrected_p() -> None:
    assert analysis.Difference("a", 0.2, 0.1, 0.3, 0.01).verdict == "wins"
    assert analysis.Difference("a", -0.2, -0.3, -0.1, 0.01).verdict == "loses"
    assert analysis.Difference("a", 0.2, 0.1, 0.3, 0.3).verdict == "open"


def test_rows_are_compared_over_the_seeds_that_both_have(cell: Callable[..., Cell], outcome: Outcome) -> None:
    once = cell("SASRec", 2, run=True)
    study = Study("tiny", [*outcome.cells[:6], once])
    (block,) = blocks_of([study], "native")
    assert block.baseline == "GRU4Rec"  # SASRec with its one seed is none, whatever it reached
    (entry,) = [entry for entry in block.differences if entry.name == "SASRec"]
    own, base = once.result(), outcome.cells[4].result()
    assert own is not None and base is not None and (base["name"], base["seed"]) == ("GRU4Rec", 2)
    of_seed_2 = own["metrics"]["native"]["ndcg@10"] / base["metrics"]["native"]["ndcg@10"] - 1
    assert entry.relative == pytest.approx(of_seed_2) and entry.low <= entry.relative <= entry.high
    assert block.stronger == (["SASRec"] if of_seed_2 > 0 else [])


def test_a_better_baseline_of_fewer_seeds_is_said(outcome: Outcome, cell: Callable[..., Cell], tmp_path: Path) -> None:
    once = cell("SASRec", 2, run=True)
    ranks = pd.read_parquet(once.folder / "ranks.parquet")
    ranks["native"] = 1.0
    ranks.to_parquet(once.folder / "ranks.parquet")
    cells = [*outcome.cells[:6], once]
    (block,) = blocks_of([Study("tiny", cells)], "native")
    assert (block.baseline, block.stronger) == ("GRU4Rec", ["SASRec"])
    text = write_report(Outcome(outcome.plan, cells, False), tmp_path)
    assert "and not it for having fewer: SASRec." in text
    assert "**SASRec**" not in text.split("### Slices")[0].split("seen-masked")[0]  # bold is a row of all seeds


def test_no_difference_is_told_where_none_is_known(cell: Callable[..., Cell], outcome: Outcome, tmp_path: Path) -> None:
    """One row has no seed in common with the best baseline, of another its one common seed has found nothing."""
    alone = [cell("FPMC", seed, run=True) for seed in (3,)]
    outcome = Outcome(outcome.plan, [*outcome.cells, *alone], False)
    (block,) = blocks_of([Study("tiny", outcome.cells)], "native")
    assert "FPMC" in block.names and {entry.name for entry in block.differences} == {"LongInterest", "Markov"}
    first = next(each for each in outcome.cells if (each.name, each.seed) == ("GRU4Rec", 1))
    ranks = pd.read_parquet(first.folder / "ranks.parquet")
    ranks[["native", "seen-masked"]] = 20.0
    ranks.to_parquet(first.folder / "ranks.parquet")
    once = [each for each in outcome.cells if (each.name, each.seed) != ("Markov", 2)]
    (block,) = blocks_of([Study("tiny", once)], "native")
    assert {entry.name for entry in block.differences} == {"LongInterest"}
    assert "FPMC" in write_report(Outcome(outcome.plan, once, False), tmp_path)


def test_ablations_are_compared_with_the_whole_model(cell: Callable[..., Cell], outcome: Outcome) -> None:
    study = Study("tiny", [*outcome.cells, cell("LongInterest-ID", run=True)])
    (entry,) = study.ablations("native")
    means = {row.name: row.values("native", study.metric, [1]).mean() for row in study.rows}  # the seed of both
    assert entry.name == "LongInterest-ID"
    assert entry.relative == pytest.approx(means["LongInterest-ID"] / means["LongInterest"] - 1)
    assert entry.low <= entry.relative <= entry.high
    assert Study("tiny", outcome.cells[1:3]).ablations("native") == []


def test_movielens_sets_are_pooled(outcome: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studies = [Study("tiny", outcome.cells), Study("tiny", outcome.cells)]
    for module in (analysis, blocks):
        monkeypatch.setattr(module, "POOLED", ("iny", "Both"))
    single, _, pooled = blocks_of(studies, "native")
    assert pooled.dataset == "Both"
    relative = {entry.name: entry.relative for entry in single.differences}
    assert {entry.name for entry in pooled.differences} == set(relative)  # the best baseline of all is no row
    for entry in pooled.differences:
        assert entry.relative == pytest.approx(relative[entry.name])


def test_rows_of_another_data_set_are_refused(outcome: Outcome) -> None:
    file = outcome.cells[1].folder / "ranks.parquet"
    table = pd.read_parquet(file)
    table.loc[0, "item"] = "other"
    table.to_parquet(file)
    with pytest.raises(ValueError, match=r"test rows of .* are not those of tiny; remove that folder"):
        Study("tiny", outcome.cells)


def test_tables_are_written_in_three_ways() -> None:
    table = Table(["model", "a_b"], [["one", "1 %"], ["two | x", "2 <"]], "one")
    assert "| **one** | **1 %** |" in markdown([table]) and "two \\| x" in markdown([table])
    body = page([table], "A & B").split("\n", 1)[1]
    tree = xml.etree.ElementTree.fromstring(body.replace('<meta charset="utf-8">', "").replace("\n<meta", "\n<!--", 1)
                                            .replace('scale=1">', 'scale=1"-->', 1))  # fmt: skip
    assert tree.find("head/title").text == "A & B"  # type: ignore[union-attr]
    assert [cell.text for cell in tree.iter("td")] == ["one", "1 %", "two | x", "2 <"]
    assert r"\textbf{1 \%}" in latex(table, "c", "l") and r"a\_b" in latex(table, "c", "l")
    assert "2 $<$" in latex(table, "c", "l")
    best = Table(["model", "a"], [["one", ""]], "one")
    assert "| **one** |  |" in markdown([best]) and r"\textbf{}" not in latex(best, "c", "l")
