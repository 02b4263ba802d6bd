"""Behaviours whose names may mean one are pointed out."""

from collections.abc import Callable
from pathlib import Path

from recbole_longinterest.prepare.notes import similar_names


def test_groups_of_names() -> None:
    counts = {"View": 3, "view": 5, "add to cart": 1, "Add-To_Cart": 2, "buy": 1, "view%20": 1}
    assert similar_names(counts) == [["view", "View", "view%20"], ["Add-To_Cart", "add to cart"]]


def test_they_are_said(prepare: Callable, tmp_path: Path) -> None:
    rows = [f"u,i{at},{1_600_000_000 + at},{name}" for at, name in enumerate(["view", "View", "view", "buy", " buy"])]
    (tmp_path / "log.csv").write_text("u,i,t,b\n" + "\n".join(rows) + "\n")
    done = prepare("csv", tmp_path / "log.csv", "--user", "u", "--item", "i", "--time", "t", "--behavior", "b")
    said = "Behaviours that differ only by case, spaces, dashes or underscores: "
    assert f"{said}view, View. If they are one, set behavior_map: {{View: view}}." in done.out
    assert f"{said}%20buy, buy." in done.out
    assert len(done.report()["notes"]) == 2
