"""Behaviours whose names may mean one are pointed out."""

from collections.abc import Callable
from pathlib import Path


def test_they_are_said(prepare: Callable, tmp_path: Path) -> None:
    rows = [f"u,i{at},{1_600_000_000 + at},{name}" for at, name in enumerate(["view", "View", "view", "buy", " buy"])]
    (tmp_path / "log.csv").write_text("u,i,t,b\n" + "\n".join(rows) + "\n")
    done = prepare("csv", tmp_path / "log.csv", "--user", "u", "--item", "i", "--time", "t", "--behavior", "b")
    said = "Behaviours that differ only by case, spaces, dashes or underscores: "
    assert f"{said}view, View. If they are one, set behavior_map: {{View: view}}." in done.out
    assert f"{said}%20buy, buy." in done.out
    assert len(done.report()["notes"]) == 2
