"""table.tex: a table for a paper."""

from collections.abc import Callable

import pytest

from recbole_longinterest.experiments.comparison.analysis import Study
from recbole_longinterest.experiments.comparison.blocks import blocks_of
from recbole_longinterest.experiments.comparison.cell import Cell
from recbole_longinterest.experiments.comparison.paper_table import COLUMNS, paper_table

Made = Callable[..., Cell]


@pytest.fixture
def study(made: Made) -> Study:
    cells = [made("LongInterest", 1, [1] * 90), made("Pop", 1, [3] * 90, 0.2)]
    cells += [made("SASRec_x", 1, [3] * 45 + [2, 4] * 22 + [3]), made("LongInterest, without text", 1, [2] * 90)]
    return Study("tiny", cells)


def test_both_protocols_and_the_ablations_are_in_it(study: Study) -> None:
    blocks = [blocks_of([study], protocol)[0] for protocol in ("native", "seen-masked")]
    lines = paper_table(study, blocks).splitlines()
    assert lines[0] == r"\begin{table*}[t]" and lines[-1] == r"\end{table*}"
    assert r"\cmidrule(lr){2-5}\cmidrule(lr){6-9}" in lines
    (own,) = [line for line in lines if line.startswith("LongInterest &")]
    assert own.count(r"\textbf{1.0000}") == 2 and own.count(r"$+100.0$\,\%$^{*}$") == 2
    (base,) = [line for line in lines if line.startswith("Pop &")]
    assert base.split(" & ")[4] == "--"
    assert any(line.startswith(r"SASRec\_x") for line in lines)
    ablations = next(place for place, line in enumerate(lines) if "ablations" in line)
    assert lines[ablations + 1].startswith("without text &") and r"$-36.9$\,\%$^{*}$" in lines[ablations + 1]
    counts = {line.count("&") for line in lines if line.endswith(r"\\") and "&" in line and "multicolumn" not in line}
    assert counts == {8}


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_can_be_asked_for(study: Study, column: str) -> None:
    (block,) = blocks_of([study], "native")
    (own,) = [line for line in paper_table(study, [block], [column]).splitlines() if line.startswith("LongInterest &")]
    assert len(own.removesuffix(r" \\").split(" & ")) == 2 and own.removesuffix(r" \\").split(" & ")[1]


def test_a_table_that_is_too_wide_is_scaled_down(study: Study) -> None:
    blocks = [blocks_of([study], protocol)[0] for protocol in ("native", "seen-masked")]
    text = paper_table(study, blocks, list(COLUMNS))
    assert text.count(r"\resizebox{\textwidth}{!}{%") == 1 and text.count(r"\end{tabular}}") == 1
    assert text.count("{") == text.count("}") and "resizebox" not in paper_table(study, blocks)


def test_unknown_columns_are_refused(study: Study) -> None:
    (block,) = blocks_of([study], "native")
    with pytest.raises(ValueError, match=r"columns of table.tex must be some of metric, interval, .*; got 'accuracy'"):
        paper_table(study, [block], ["metric", "accuracy"])
    with pytest.raises(ValueError, match="got 'none'"):
        paper_table(study, [block], [])
