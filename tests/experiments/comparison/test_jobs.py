"""Cells in processes of their own, several at a time."""

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recbole_longinterest import compare
from recbole_longinterest.experiments.comparison import cells, data, jobs
from recbole_longinterest.experiments.comparison.cell import FAILED, FINISHED, MISMATCH, Cell
from recbole_longinterest.experiments.comparison.jobs import run_cells
from tests.conftest import synthetic_inter

EXPECTED = {("tiny", 0): data.Fingerprint(1, 1, 1, (1, 1, 1), "")}


class Bar:
    """A progress bar that keeps what it is told."""

    def __init__(self, stops: bool = False) -> None:
        self.done, self.written, self.shown, self.stops = 0, list[str](), list[str](), stops

    def update(self, number: int = 1) -> None:
        self.done += number

    def write(self, text: str) -> None:
        self.written.append(text)

    def set_postfix_str(self, text: str) -> None:
        self.shown.append(text)
        if self.stops:
            raise KeyboardInterrupt


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forks in place of the server, which imports everything."""
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(jobs, "multiprocessing", SimpleNamespace(get_context=lambda kind: fork))


def many(tmp_path: Path, number: int) -> list[Cell]:
    made = [Cell("tiny", f"row{place}", "Pop", 1, {}, "", "", "row", tmp_path) for place in range(number)]
    for cell in made:
        cell.folder.mkdir(parents=True)
    return made


def _meet(cell: Cell, expected: object, threads: int | None) -> None:
    """End when another cell has begun, or fail."""
    (cell.folder / "begun").touch()
    for _ in range(600):
        if len(list(cell.folder.parent.glob("*/begun"))) > 1:
            return cell.end(FINISHED, threads=threads)
        time.sleep(0.05)
    return cell.end(FAILED, error="nobody came")


def _last(cell: Cell, expected: object, threads: int | None) -> None:
    """End the second cell with other data; the first sleeps."""
    if cell.name == "row0":
        time.sleep(600)
    cell.end(MISMATCH, error="its users are others")


@pytest.mark.usefixtures("forks")
def test_cells_run_side_by_side_with_a_thread_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "work", _meet)
    todo, bar = many(tmp_path, 2), Bar()
    run_cells(todo, EXPECTED, bar, jobs=2)
    results = [cell.result() or {} for cell in todo]
    assert [result["status"] for result in results] == [FINISHED] * 2
    assert [result["threads"] for result in results] == [1, 1] and bar.done == 2
    assert any("row0" in text and "row1" in text for text in bar.shown)


@pytest.mark.usefixtures("forks")
def test_ctrl_c_stops_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "work", lambda *_: time.sleep(600))
    with pytest.raises(KeyboardInterrupt):
        run_cells(many(tmp_path, 3), EXPECTED, Bar(stops=True), jobs=2)
    assert multiprocessing.active_children() == []


@pytest.mark.usefixtures("forks")
def test_other_data_stop_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "work", _last)
    with pytest.raises(ValueError, match="its users are others"):
        run_cells(many(tmp_path, 2), EXPECTED, Bar(), jobs=2)
    assert multiprocessing.active_children() == []


@pytest.mark.usefixtures("forks")
def test_finished_cells_are_not_run_again_and_failures_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "work", lambda cell, *_: cell.end(FAILED, error="no column"))
    todo, bar = many(tmp_path, 3), Bar()
    todo[0].end(FINISHED, kept=True)
    run_cells(todo, EXPECTED, bar)
    assert (todo[0].result() or {})["kept"] and bar.done == 3
    assert bar.written == ["tiny, row1, seed 1 failed: no column", "tiny, row2, seed 1 failed: no column"]


@pytest.mark.slow
@pytest.mark.usefixtures("one_ray")
def test_two_at_a_time_and_tasks_of_ray_give_what_one_gives(write_dataset: Callable[..., Path], tmp_path: Path) -> None:
    root = str(write_dataset("tiny", synthetic_inter()))
    given: dict[str, Any] = {"data_path": root, "epochs": 2, "state": "ERROR", "embedding_size": 8, "hidden_size": 8}
    metrics = []
    from recbole_longinterest.experiments.comparison.cluster import OnRay

    for name, more in {"one": {}, "two": {"jobs": 2}, "ray": {"on_ray": OnRay(cpus=0.5)}}.items():
        outcome = compare(
            ["GRU4Rec", "Pop"], ["tiny"], output=tmp_path / name, seeds=[7], show_progress=False,
            settings={**given, "num_threads": 1}, **more,
        )  # fmt: skip
        metrics.append([(cell.result() or {})["metrics"] for cell in outcome.cells])
    assert metrics[0] == metrics[1] == metrics[2]


def test_a_cluster_without_room_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from recbole_longinterest.experiments.comparison import cluster

    monkeypatch.setattr(cluster.ray, "cluster_resources", lambda: {"CPU": 4.0})
    assert cluster.OnRay(cpus=1.5).room() == 2
    with pytest.raises(ValueError, match=r"^A run needs 1 CPU and 1 GPU, but this Ray has 4 CPU and 0 GPU\."):
        cluster.OnRay(gpus=1).room()
