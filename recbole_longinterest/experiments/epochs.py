"""Record the evaluated epochs of a training as JSON lines, for searches and comparisons."""

import json
import os
from pathlib import Path

from recbole_longinterest.common.json_text import parse_json

FILE = "epochs.jsonl"


def add_epoch(folder: Path, epoch: dict[str, float]) -> None:
    """Append an evaluated epoch to a folder's file."""
    with (folder / FILE).open("a+b") as file:
        if file.tell() and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
            file.write(b"\n")  # after a line that was truncated by a kill or a full disk
        file.write(json.dumps(epoch).encode() + b"\n")


def forget_epochs(folder: Path) -> None:
    """Remove the epochs of a folder before its training starts again."""
    (folder / FILE).unlink(missing_ok=True)


def read_epochs(folder: Path) -> list[dict[str, float]]:
    """Read a training's epochs in order; if an epoch ran twice, after a kill, the later line counts."""
    file = folder / FILE
    found: dict[float, dict[str, float]] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        try:
            epoch = parse_json(line)
        except ValueError:  # a truncated line
            continue
        found[epoch["epoch"]] = epoch
    return [found[number] for number in sorted(found)]
