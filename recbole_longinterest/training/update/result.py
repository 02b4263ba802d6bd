"""The results of an update, and the names of its files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_longinterest.training.update.intake import INTAKE, QUARANTINE, beside
from recbole_longinterest.training.update.merge import Merged

TRAINING = "training"  # in the folder of merged data: the training's own files while it runs


@dataclass(frozen=True)
class Updated:
    """Results of an update.

    Attributes:
        checkpoint: the new file.
        merged: counts of the new files.
        changed_texts: items of the old catalogue whose text is new or has changed.
        items: items of the catalogue.
        new_targets: events that were trained on for the first time.
        old_targets: events that were replayed.
        trained: names of the parameters that were trained; empty if the update was done before.
        seconds: of the training.
        total_seconds: of everything.
        report: the intake report with the gate's figures, as plain data; None of an update of an earlier version.
        report_file: JSON file of the report, beside the checkpoint.
        quarantine: file of the events that the caps took out; None if they took out none.
        refused: why the gate did not put the checkpoint in place, one sentence; None if it did, or without a gate.
    """

    checkpoint: Path
    merged: Merged
    changed_texts: int
    items: int
    new_targets: int
    old_targets: int
    trained: list[str]
    seconds: float
    total_seconds: float
    report: dict[str, Any] | None = None
    report_file: Path | None = None
    quarantine: Path | None = None
    refused: str | None = None


def files_beside(place: Path, report: dict[str, Any] | None) -> dict[str, Any]:
    """The attributes of :class:`Updated` that come from the files beside a checkpoint."""
    quarantine, judged = beside(place, QUARANTINE), (report or {}).get("gate") or {}
    return {
        "report": report,
        "report_file": beside(place, INTAKE) if report is not None else None,
        "quarantine": quarantine if quarantine.is_file() else None,
        "refused": judged.get("refused"),
    }


def refused_name(output: Path) -> Path:
    """Where a checkpoint that the gate refuses is kept."""
    return output.with_name(f"{output.stem}.refused{output.suffix}")


def data_folder(checkpoint: Path) -> Path:
    """Folder of an updated checkpoint's data."""
    return checkpoint.with_name(f"{checkpoint.name}.data")
