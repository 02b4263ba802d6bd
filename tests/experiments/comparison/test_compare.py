"""`compare` from Python: what differs from the command."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest import LongInterestError, compare
from recbole_longinterest.experiments.comparison import cells
from recbole_longinterest.experiments.comparison.driver import PLAN
from tests.conftest import synthetic_inter


@pytest.fixture
def data_path(write_dataset: Callable[..., Path]) -> str:
    return str(write_dataset("tiny", synthetic_inter()))


@pytest.mark.parametrize(
    ("more", "settings", "message"),
    [
        ({}, {"learning_rat": 0.1}, "None of the models has a setting learning_rat"),
        ({}, {"seed": 1}, "compare sets seed itself; leave it out"),
        ({"ablations": ["nothing"]}, {}, "There is no ablation 'nothing'"),
        ({"jobs": 0}, {}, "jobs must be a whole number of at least 1; got 0"),
        ({"table_columns": ["accuracy"]}, {}, "columns of table.tex must be some of .*; got 'accuracy'"),
        ({"subject": "Mine"}, {}, r"subject must be a row of the comparison \(Pop\); got 'Mine'"),
        ({"ablations": ["without text"]}, {}, "Ablations are LongInterest .* Add it to the models"),
        ({"models": []}, {}, "compare needs at least one model and one data set"),
    ],
)
def test_settings_are_a_mapping(
    data_path: str, tmp_path: Path, more: dict[str, Any], settings: dict[str, object], message: str
) -> None:
    arguments: dict[str, Any] = {"models": ["Pop"], "datasets": ["tiny"], "output": str(tmp_path / "out"), **more}
    with pytest.raises(LongInterestError, match=message):
        compare(**arguments, settings={"data_path": data_path, **settings}, show_progress=False)


@pytest.mark.slow
def test_a_comparison_writes_its_report(data_path: str, tmp_path: Path) -> None:
    given = {"data_path": data_path, "epochs": 1, "state": "WARNING"}
    outcome = compare(["Pop"], ["tiny"], output=tmp_path / "out", seeds=[7], settings=given, show_progress=False)
    (cell,) = outcome.cells
    assert (cell.name, cell.seed, outcome.interrupted) == ("Pop", 7, False)
    result = cell.result()
    assert result is not None and result["status"] == "finished"
    assert "Pop" in (tmp_path / "out" / "summary.md").read_text()


def test_a_plan_that_does_not_hold_changes_nothing(data_path: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / PLAN).write_text("of before")
    for models, why in (
        (["Pop", "NoSuch"], "There is no model 'NoSuch'"),
        (["Pop", "DIN"], "DIN: valid_metric must be"),
    ):
        with pytest.raises(ValueError, match=why):
            compare(models, ["tiny"], output=tmp_path / "out", settings={"data_path": data_path}, show_progress=False)
    assert (tmp_path / "out" / PLAN).read_text() == "of before"


def _die(*_: object) -> None:
    raise SystemExit(-9)


@pytest.mark.slow
def test_a_process_that_dies_is_a_failed_cell(data_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "work", _die)
    given = {"data_path": data_path, "state": "WARNING"}
    with pytest.raises(LongInterestError, match=r"None of the models could run .* The process ended with code"):
        compare(["Pop"], ["tiny"], output=tmp_path / "out", seeds=[7], settings=given, show_progress=False)
