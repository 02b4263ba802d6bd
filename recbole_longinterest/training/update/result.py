"""Results of an update and names of its files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_longinterest.training.update.intake import INTAKE, QUARANTINE, beside
from recbole_longinterest.training.update.merge import Merged

TRAINING = "training"  # in the folder of merged data: working files of the running training


@dataclass(frozen=True)
class Updated:
    """Results of an update.

    Attributes:
        checkpoint: the new file.
        merged: counts of the merge.
        changed_texts: items of the old catalogue whose text is new or has changed.
        items: number of items in the catalogue.
        new_targets: events trained on for the first time.
        old_targets: replayed events.
        trained: names of the trained parameters; empty if the update was already done.
        seconds: time of the training.
        total_seconds: total time.
        report: the intake report with the gate's measurements, as plain data; None for updates by older versions.
        report_file: JSON file of the report, beside the checkpoint.
        quarantine: file of the events removed by the caps; None without such events.
        refused: why the gate rejected the checkpoint, in one sentence; None if it passed or without a gate.
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
    """Return the attributes of :class:`Updated` that come from files beside a checkpoint."""
    quarantine, judged = beside(place, QUARANTINE), (report or {}).get("gate") or {}
    return {
        "report": report,
        "report_file": beside(place, INTAKE) if report is not None else None,
        "quarantine": quarantine if quarantine.is_file() else None,
        "refused": judged.get("refused"),
    }


def refused_name(output: Path) -> Path:
    """Path of a checkpoint that the gate rejects."""
    return output.with_name(f"{output.stem}.refused{output.suffix}")


def data_folder(checkpoint: Path) -> Path:
    """Data folder of an updated checkpoint."""
    return checkpoint.with_name(f"{checkpoint.name}.data")
