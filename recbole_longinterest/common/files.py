"""Folders, and files that stand whole or not at all: what a search and a comparison keep of a training."""

import contextlib
import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Hand out a draft beside a file; it takes the file's place when it is done, and goes if it cannot be."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with whole(path) as draft:
        draft.write_text(text, encoding="utf-8")


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder, with those above it, where it is not there yet.

    Raises:
        ValueError: says in one sentence which folder cannot be made, and why.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LongInterestError(
            f"The folder {Path(path).resolve()} cannot be made ({error.strerror}). Move what is in its way, or "
            "choose another folder."
        ) from error


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def add_epoch(folder: Path, epoch: dict[str, float]) -> None:
    """An epoch of the training of this folder was evaluated."""
    with (folder / "epochs.jsonl").open("a+b") as file:
        if file.tell() and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
            file.write(b"\n")  # after a line that a kill or a full disk cut short
        file.write(json.dumps(epoch).encode() + b"\n")


def forget_epochs(folder: Path) -> None:
    """The training of this folder begins anew."""
    (folder / "epochs.jsonl").unlink(missing_ok=True)


def read_epochs(folder: Path) -> list[dict[str, float]]:
    """A training's epochs in order; an epoch that was run again after a kill counts once, as it was the last time."""
    file = folder / "epochs.jsonl"
    found: dict[float, dict[str, float]] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        try:
            epoch = json.loads(line)
        except ValueError:  # the line that a kill cut short
            continue
        found[epoch["epoch"]] = epoch
    return [found[number] for number in sorted(found)]
