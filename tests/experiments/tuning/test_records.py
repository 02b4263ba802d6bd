"""The plain files of a search."""

from dataclasses import replace
from pathlib import Path

import pytest

from recbole_longinterest.experiments.epochs import add_epoch
from recbole_longinterest.experiments.tuning import records


def trial(output: Path, number: int, scores: list[float], status: str = records.FINISHED) -> Path:
    folder = records.folder_of(output, {"n": number})
    records.begin(folder, {"n": number}, "node")
    for epoch, score in enumerate(scores, 1):
        add_epoch(folder, {"epoch": epoch, "valid_score": score, "seconds": float(epoch)})
    (folder / "model.pth").touch()
    (folder / "model.pth.last").touch()
    if status != records.UNFINISHED:
        records.end(folder, status, "because" if status == records.ERROR else "")
    return folder


def test_the_best_comes_first(tmp_path: Path) -> None:
    for number, scores in enumerate([[0.1, 0.3], [0.4, 0.2], [0.2]]):
        trial(tmp_path, number, scores)
    trial(tmp_path, 3, [0.9], records.ERROR)
    best, *_, last = records.read_trials(tmp_path, bigger=True)
    assert (best.setting, best.best) == ({"n": 1}, {"epoch": 1, "valid_score": 0.4, "seconds": 1.0})
    assert (last.setting, last.reason) == ({"n": 3}, "because")  # a failed trial never wins
    assert records.read_trials(tmp_path, bigger=False)[0].setting == {"n": 0}


def test_a_checkpoint_is_that_of_the_searchs_protocol(tmp_path: Path) -> None:
    folder = trial(tmp_path, 0, [0.1])
    (folder / "a.seen-masked.pth").touch()
    (native,) = records.read_trials(tmp_path, bigger=True)
    (masked,) = records.read_trials(tmp_path, bigger=True, protocol="seen-masked")
    assert native.checkpoint is not None and "seen-masked" not in native.checkpoint.name
    assert masked.checkpoint == folder / "a.seen-masked.pth"
    records.prune([masked, replace(masked, status=records.FINISHED)])
    assert not list(folder.glob("*.pth"))


def test_losers_lose_their_checkpoints(tmp_path: Path) -> None:
    lost, won = trial(tmp_path, 0, [0.1]), trial(tmp_path, 1, [0.2])
    running = trial(tmp_path, 2, [0.05], records.UNFINISHED)
    records.prune(records.read_trials(tmp_path, bigger=True))
    assert not list(lost.glob("*.pth*"))
    assert len(list(won.glob("*.pth*"))) == len(list(running.glob("*.pth*"))) == 2


def test_the_best_of_those_that_ended_keeps_its_checkpoint_while_a_better_one_runs(tmp_path: Path) -> None:
    trial(tmp_path, 0, [0.9], records.UNFINISHED)
    ended, failed = trial(tmp_path, 1, [0.2]), trial(tmp_path, 2, [0.3], records.ERROR)
    records.prune(records.read_trials(tmp_path, bigger=True))
    assert len(list(ended.glob("*.pth*"))) == 2  # the other may fail yet
    assert [file.suffix for file in failed.glob("*.pth*")] == [".last"]  # from where it may go on


def test_of_equal_epochs_the_last_is_the_best_as_in_recbole(tmp_path: Path) -> None:
    trial(tmp_path, 0, [0.1, 0.4, 0.4, 0.2])
    (found,) = records.read_trials(tmp_path, bigger=True)
    assert found.best is not None and found.best["epoch"] == 3


def test_the_first_end_counts_and_a_failure_can_be_forgotten(tmp_path: Path) -> None:
    folder = trial(tmp_path, 0, [0.1], records.ERROR)
    records.end(folder, records.STOPPED)
    with pytest.raises(RuntimeError, match="because"):
        records.begin(folder, {"n": 0}, "node")
    records.forget_failures(tmp_path)
    records.begin(folder, {"n": 0}, "node")
    assert records.read_end(folder) == (records.UNFINISHED, "")
