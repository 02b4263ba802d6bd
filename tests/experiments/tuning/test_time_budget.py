"""The time of a search: where it begins, what it stops, and what is said when nothing has come of it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest import LongInterestError, tune
from recbole_longinterest.experiments.tuning import records
from recbole_longinterest.experiments.tuning.driver import Outcome, Plan
from recbole_longinterest.experiments.tuning.report import plot_progress, summary
from recbole_longinterest.experiments.tuning.time_budget import TimeBudget
from tests.conftest import synthetic_inter


def test_it_begins_when_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    budget, endless = TimeBudget(5), TimeBudget(None)
    for then, over in ((104.9, False), (105.0, True)):
        now[0] = then
        assert budget.over == budget.stop_all() == over
        assert not endless.stop_all() and not budget("trial", {})
    assert TimeBudget(0).over


def outcome(*epochs: list[dict[str, float]], status: str = records.UNFINISHED, **changes: Any) -> Outcome:
    trials = [
        records.Trial(f"t{i}", Path(), {"lr": i}, "", each, status, "", True) for i, each in enumerate(epochs, start=1)
    ]
    values = {"interrupted": False, "time_budget": 60.0, "valid_result": None, "test_result": None, **changes}
    return Outcome(plan=Plan("BPR", "tiny", "space.yaml", 3), metric="NDCG@10", trials=trials, **values)


EPOCHS = [{"epoch": n, "seconds": 10.0 * n, "valid_score": n / 10} for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("made", "said", "not_said"),
    [
        (outcome([], []), ["The time budget of 60 s ended the search", "No trial has finished an epoch"], "| trial"),
        (outcome(EPOCHS, []), ["The time budget of 60 s", "No trial has finished its training"], "finished an epoch"),
        (outcome(EPOCHS, status=records.FINISHED), ["The time budget of 60 s"], "No trial"),
        (outcome(interrupted=True, time_budget=None), ["The search was stopped", "No trial has finished"], "budget"),
        (outcome(EPOCHS, status=records.STOPPED, time_budget=None), ["| t1 | 0.3000 | 3 | 3 |"], "No trial"),
    ],
)
def test_the_summary_says_how_it_ended(made: Outcome, said: list[str], not_said: str) -> None:
    text = summary(made, Path())
    assert all(part in text for part in said) and not_said not in text


def test_progress_is_drawn_by_epoch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from recbole_longinterest.experiments.tuning import report

    drawn: list[Any] = []
    monkeypatch.setattr(report, "_save", lambda figure, path: drawn.append(figure))
    plot_progress(outcome(EPOCHS, EPOCHS[:1]), tmp_path / "progress.png")
    (axes,) = drawn[0].axes
    assert axes.get_xlabel() == "epoch"
    assert sorted(list(line.get_xdata()) for line in axes.lines) == [[1], [1, 2, 3]]
    drawn[0].canvas.draw()
    assert all(float(label.get_position()[0]).is_integer() for label in axes.get_xticklabels())


@pytest.fixture
def search(write_dataset: Callable[..., Path], tmp_path: Path) -> Callable[..., Outcome]:
    """A search of one GRU4Rec whose epochs are many."""
    root = write_dataset("tiny", synthetic_inter())
    (tmp_path / "space.yaml").write_text("learning_rate: {choice: [0.01]}\n")
    settings: dict[str, object] = {"data_path": str(root), "epochs": 100_000, "stopping_step": 100_000}
    settings |= {"embedding_size": 8, "hidden_size": 8, "state": "ERROR", "train_neg_sample_args": None}
    given: dict[str, Any] = {"output": tmp_path / "out", "space": tmp_path / "space.yaml", "settings": settings}
    return lambda **more: tune("GRU4Rec", "tiny", trials=1, show_progress=False, **{**given, **more})


@pytest.mark.slow
@pytest.mark.usefixtures("one_ray")
def test_a_search_ends_in_time(search: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LongInterestError, match=r"No trial finished an epoch in the 0\.1 s of --time-budget"):
        search(time_budget=0.1)  # over while the data are read
    assert "No trial has finished an epoch" in (tmp_path / "out" / "summary.md").read_text()
    epochs = (tmp_path / "out" / "trials").glob
    monkeypatch.setattr(TimeBudget, "over", property(lambda self: any(epochs("*/epochs.jsonl"))))
    found = search(time_budget=3600, resume=True)  # however long this machine takes to the first epoch
    (trial,) = found.trials
    assert trial.epochs and trial.status == records.UNFINISHED and not found.interrupted and found.test_result
    assert "No trial has finished its training" in (tmp_path / "out" / "summary.md").read_text()
