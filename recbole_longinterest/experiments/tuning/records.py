"""What a search keeps of its trials: a folder each, plain files, whole at any moment.

``trials/<id>/trial.json`` is what was drawn and where it runs, ``epochs.jsonl`` has a line an evaluated epoch,
``end.json`` how it ended; beside them stand the checkpoint and the log. None of it is Ray's, so that a search can be
read without ray.
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
    """One setting and what came of it.

    Attributes:
        name: its folder's name.
        folder: where its files are.
        setting: the values drawn for it.
        node: Ray's name of the machine that it ran on last.
        epochs: metrics on the validation data, ``valid_score``, ``epoch`` (from 1) and ``seconds`` of training and
            evaluation so far, for every epoch in order.
        status: finished, stopped early, failed or unfinished.
        reason: why it failed.
        bigger: whether a bigger ``valid_score`` is better.
        protocol: by which validation values trials are compared.
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
        """The last of its best epochs, which is the one that RecBole keeps; None if there is no epoch."""
        if not self.epochs:
            return None
        return max(
            reversed(self.epochs), key=lambda epoch: epoch["valid_score"] if self.bigger else -epoch["valid_score"]
        )

    @property
    def score(self) -> float:
        """Its best ``valid_score``; the worst that there is for a trial that failed or has no epoch."""
        best = None if self.status == ERROR else self.best
        if best is None:
            return -math.inf if self.bigger else math.inf
        return best["valid_score"]

    @property
    def checkpoint(self) -> Path | None:
        """The file of its best epoch's model."""
        masked = sorted(self.folder.glob(f"*.{MASKED}.pth"))
        if self.protocol != NATIVE:
            return next(iter(masked), None)
        return next((file for file in sorted(self.folder.glob("*.pth")) if file not in masked), None)


def folder_of(output: Path, setting: dict[str, Any]) -> Path:
    """Folder of the trial of a setting: the same setting, drawn again, finds what was done for it."""
    return output / TRIALS / sha256(json.dumps(setting, sort_keys=True).encode()).hexdigest()[:10]


def begin(folder: Path, setting: dict[str, Any], node: str) -> None:
    """A trial starts, or goes on.

    Raises:
        RuntimeError: if it has failed: Ray runs it again, and it would again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    status, reason = read_end(folder)
    if status == ERROR:
        raise RuntimeError(reason)
    write_text(folder / TRIAL, json.dumps({"setting": setting, "node": node}, indent=1))


def end(folder: Path, status: str, reason: str = "") -> None:
    """A trial has ended; the first word counts."""
    if read_end(folder)[0] == UNFINISHED:
        write_text(folder / END, json.dumps({"status": status, "reason": reason}))


def read_end(folder: Path) -> tuple[str, str]:
    """Status and reason of a trial."""
    file = folder / END
    content = read_json(file) if file.is_file() else {}
    return content.get("status", UNFINISHED), content.get("reason", "")


def forget_failures(output: Path) -> None:
    """Trials that failed are to be run again, from where they were."""
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
    """Remove the checkpoints of trials that have ended behind another that has; what failed may go on from its last."""
    ended = [trial for trial in trials if trial.status != UNFINISHED]
    for trial in ended[1:]:
        for file in trial.folder.glob("*.pth" if trial.status == ERROR else "*.pth*"):
            file.unlink(missing_ok=True)
