"""Finished cells as rows: values of every run by user."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from recbole_longinterest.experiments.comparison.cell import Cell
from recbole_longinterest.experiments.comparison.rows import read_rows

Made = Callable[..., Cell]


def finished(*cells: Cell) -> list[tuple[Cell, dict[str, object]]]:
    return [(cell, cell.result() or {}) for cell in cells]


def test_a_run_has_its_own_values_and_scores(made: Made) -> None:
    cell = made("GRU4Rec", 3, {"native": [1, 20, 3], "seen-masked": [1, 2, 1]}, {"native": 0.2, "seen-masked": 0.3})
    (row,) = read_rows("tiny", finished(cell))
    (run,) = row.runs
    assert run.values("native", "ndcg@10") == pytest.approx([1, 0, 0.5])
    assert run.values("seen-masked", "recall@1").tolist() == [1, 0, 1]
    assert (row.validation("native"), row.validation("seen-masked"), row.seeds) == (0.2, 0.3, [3])
    assert not row.ours and not row.chose_natively


def test_runs_of_other_splits_are_matched_by_user(made: Made) -> None:
    """As where the order of ties differs: the same users, other targets, and here one user less."""
    first = made("GRU4Rec", 1, [1, 2, 3], users=["a", "b", "c"])
    second = made("GRU4Rec", 2, [4, 5], users=["b", "c"], split="b" * 20)
    (row,) = read_rows("tiny", finished(first, second))
    assert [run.rows.users.tolist() for run in row.runs] == [[0, 1, 2], [1, 2]]
    assert [len(run.values("native", "ndcg@10")) for run in row.runs] == [3, 2]


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        *((name, True) for name in ("LongInterest", "LongInterest-ID", "LongInterest, without text", "LongInterest@9")),
        *((name, False) for name in ("SASRec+text", "Pop", "SASRec@200")),
    ],
)
def test_what_is_ours(made: Made, name: str, ours: bool) -> None:
    (row,) = read_rows("tiny", finished(made(name, 1, [1, 2])))
    assert row.ours == ours


def test_variants_of_another_subject_are_its_own(made: Made) -> None:
    cells = finished(*(made(name, 1, [1, 2]) for name in ("GRU4Rec", "GRU4Rec@20", "LongInterest", "Pop")))
    assert [row.ours for row in read_rows("tiny", cells, "GRU4Rec")] == [True, True, False, False]


def test_a_cell_of_an_earlier_version_chose_natively(made: Made) -> None:
    cell = made("GRU4Rec", 1, [1, 2, 3], choices=None)
    table = pd.read_parquet(cell.folder / "ranks.parquet").drop(columns="among_cold_masked")
    table.to_parquet(cell.folder / "ranks.parquet")
    (row,) = read_rows("tiny", finished(cell))
    assert row.chose_natively and row.validation("native") == 0.1 and row.validation("seen-masked") is None
    assert "among_cold_masked" in row.runs[0].ranks


def test_a_list_from_elsewhere_has_no_validation(made: Made) -> None:
    (row,) = read_rows("tiny", finished(made("GRU4Rec", 1, [1, 2, 3], validation=None)))
    assert row.validation("native") is None and not row.chose_natively


def test_properties_of_lists_vary_over_users_and_runs(made: Made) -> None:
    (row,) = read_rows("tiny", finished(*(made("GRU4Rec", seed, [1, 2, 3]) for seed in (1, 3))))
    between = np.var([0.51, 0.53], ddof=1) / 2
    assert row.error("native", "itemcoverage@10") == pytest.approx(np.sqrt(0.02**2 + between))
    (single,) = read_rows("tiny", finished(made("SASRec", 1, [1, 2, 3], errors=None)))
    assert np.isnan(single.error("native", "itemcoverage@10"))


def test_a_row_may_have_a_training_for_each_protocol(made: Made) -> None:
    scores = {"native": 0.5, "seen-masked": 0.1}
    native = made("SASRec", 1, {"native": [1, 2, 3], "seen-masked": [9, 9, 9]}, scores, protocol="native")
    assert read_rows("tiny", finished(native)) == []  # of one protocol: the row is not finished
    scores = {"native": 0.2, "seen-masked": 0.7}
    masked = made("SASRec", 1, {"native": [9, 9, 9], "seen-masked": [3, 1, 1]}, scores, protocol="seen-masked")
    (row,) = read_rows("tiny", finished(native, masked))
    (run,) = row.runs
    assert run.values("native", "recall@1").tolist() == [1, 0, 0]
    assert run.values("seen-masked", "recall@1").tolist() == [0, 1, 1]
    assert (row.validation("native"), row.validation("seen-masked")) == (0.5, 0.7)
    assert row.reported("seen-masked", "ndcg@10") == [masked.result()["metrics"]["seen-masked"]["ndcg@10"]]
    assert row.reported("native", "ndcg@10") == [native.result()["metrics"]["native"]["ndcg@10"]]


def test_rows_of_another_data_set_are_refused(made: Made) -> None:
    cell = made("GRU4Rec", 1, [1, 2, 3])
    table = pd.read_parquet(cell.folder / "ranks.parquet")
    table.loc[0, "item"] = "other"
    table.to_parquet(cell.folder / "ranks.parquet")
    with pytest.raises(ValueError, match=r"test rows of .* are not those of tiny; remove that folder"):
        read_rows("tiny", finished(cell))
