"""Records of a search: a folder of plain files for each trial, written atomically.

``trials/<id>/trial.json`` has the drawn setting and the machine, ``epochs.jsonl`` a line per evaluated epoch,
``end.json`` the final status; the checkpoint and the log are in the same folder. A search can be read without ray.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from recbole_longinterest.common.files import write_text
from recbole_longinterest.common.json_text import read_json
from recbole_longinterest.experiments.epochs import read_epochs
from recbole_longinterest.plugin.runs.seen_masked import MASKED, NATIVE

TRIALS = "trials"
TRIAL, END = "trial.json", "end.json"
FINISHED, STOPPED, ERROR, UNFINISHED = "finished", "stopped early", "failed", "unfinished"


@dataclass(frozen=True)
class Trial:
    """One setting and its results.

    Attributes:
        name: name of the trial's folder.
        folder: folder of the trial's files.
        setting: the drawn values.
        node: Ray's id of the machine that it ran on last.
        epochs: for every epoch in order, the validation metrics, ``valid_score``, ``epoch`` (from 1) and ``seconds`` of
            training and evaluation so far.
        status: finished, stopped early, failed or unfinished.
        reason: reason of a failure.
        bigger: whether a bigger ``valid_score`` is better.
        protocol: protocol of the validation score that trials are compared by.
    """

    name: str
    folder: Path
    setting: dict[str, Any]
    node: str
    epochs: Sequence[dict[str, float]]
    status: str
    reason: str
    bigger: bool
    protocol: str = NATIVE

    @property
    def best(self) -> dict[str, float] | None:
        """The best epoch, the last one among equals, as RecBole keeps it; None without epochs."""
        if not self.epochs:
            return None
        return max(
            reversed(self.epochs), key=lambda epoch: epoch["valid_score"] if self.bigger else -epoch["valid_score"]
        )

    @property
    def score(self) -> float:
        """The best ``valid_score``; infinitely bad for a trial that failed or has no epochs."""
        best = None if self.status == ERROR else self.best
        if best is None:
            return -math.inf if self.bigger else math.inf
        return best["valid_score"]

    @property
    def checkpoint(self) -> Path | None:
        """Checkpoint of the best epoch."""
        masked = sorted(self.folder.glob(f"*.{MASKED}.pth"))
        if self.protocol != NATIVE:
            return next(iter(masked), None)
        return next((file for file in sorted(self.folder.glob("*.pth")) if file not in masked), None)


def folder_of(output: Path, setting: dict[str, Any]) -> Path:
    """Folder of a setting's trial, named by a hash of the setting, so that a repeated setting finds its results."""
    return output / TRIALS / sha256(json.dumps(setting, sort_keys=True).encode()).hexdigest()[:10]


def begin(folder: Path, setting: dict[str, Any], node: str) -> None:
    """Record that a trial starts or resumes.

    Raises:
        RuntimeError: if it has already failed; Ray runs it again, but it would fail again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    status, reason = read_end(folder)
    if status == ERROR:
        raise RuntimeError(reason)
    write_text(folder / TRIAL, json.dumps({"setting": setting, "node": node}, indent=1))


def end(folder: Path, status: str, reason: str = "") -> None:
    """Record that a trial has ended, unless an end is already recorded."""
    if read_end(folder)[0] == UNFINISHED:
        write_text(folder / END, json.dumps({"status": status, "reason": reason}))


def read_end(folder: Path) -> tuple[str, str]:
    """Status and reason of a trial."""
    file = folder / END
    content = read_json(file) if file.is_file() else {}
    return content.get("status", UNFINISHED), content.get("reason", "")


def forget_failures(output: Path) -> None:
    """Reset failed trials, so that they resume."""
    for folder in (output / TRIALS).glob("*/"):
        if read_end(folder)[0] == ERROR:
            (folder / END).unlink()


def read_trials(output: Path, bigger: bool, protocol: str = NATIVE) -> list[Trial]:
    """All trials of a search, the best first."""
    found = []
    for folder in sorted((output / TRIALS).glob("*/")):
        file = folder / TRIAL
        if file.is_file():
            begun = read_json(file)
            ended = read_end(folder)
            found.append(
                Trial(
                    folder.name, folder, begun["setting"], begun["node"], read_epochs(folder), *ended, bigger, protocol
                )
            )
    return sorted(found, key=lambda trial: -trial.score if bigger else trial.score)


def prune(trials: Sequence[Trial]) -> None:
    """Remove the checkpoints of all ended trials but the best; failed ones keep the file to resume from."""
    ended = [trial for trial in trials if trial.status != UNFINISHED]
    for trial in ended[1:]:
        for file in trial.folder.glob("*.pth" if trial.status == ERROR else "*.pth*"):
            file.unlink(missing_ok=True)
