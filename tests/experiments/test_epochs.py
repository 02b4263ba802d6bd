"""A training's epochs are read back whatever became of it."""

from pathlib import Path

from recbole_longinterest.experiments.epochs import add_epoch, read_epochs


def test_an_epoch_run_again_counts_once_and_a_cut_line_not_at_all(tmp_path: Path) -> None:
    assert read_epochs(tmp_path) == []
    for number, score in ((1, 0.1), (2, 0.2), (2, 0.25)):
        add_epoch(tmp_path, {"epoch": number, "valid_score": score})
    with (tmp_path / "epochs.jsonl").open("a") as file:
        file.write('{"epoch": 3, "val')
    assert [epoch["valid_score"] for epoch in read_epochs(tmp_path)] == [0.1, 0.25]
    add_epoch(tmp_path, {"epoch": 3, "valid_score": 0.3})  # run again, it does not join the cut line
    assert [epoch["valid_score"] for epoch in read_epochs(tmp_path)] == [0.1, 0.25, 0.3]
