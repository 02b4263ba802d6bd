"""Find the checkpoints of a lineage and their data folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recbole.config import Config

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import file_hash
from recbole_longinterest.common.json_text import read_json
from recbole_longinterest.plugin.runs.checkpoints import LAST, CheckpointError, load_checkpoint
from recbole_longinterest.plugin.runs.places import PlaceError, use_places


class ForgetError(LongInterestError):
    """Users that cannot be removed."""


@dataclass(frozen=True)
class Member:
    """A checkpoint of the lineage.

    Attributes:
        path: the checkpoint file.
        sha256: its hash.
        config: config of its training.
        folder: folder of its data.
    """

    path: Path
    sha256: str
    config: Config
    folder: Path

    @property
    def dataset(self) -> str:
        """Name of its data set."""
        return str(self.config["dataset"])

    @property
    def parents(self) -> set[str]:
        """SHA-256 of the checkpoints it was updated from."""
        return {entry["parent_sha256"] for entry in self.config["lineage"] or []}


@dataclass(frozen=True)
class Lineage:
    """Checkpoints that were updated from one another or share data.

    Attributes:
        members: the checkpoints, parents before children.
        missing: names of parents that were not found, or whose data was not found.
        unfinished: data folders of interrupted updates of a member.
    """

    members: list[Member]
    missing: list[str]
    unfinished: list[Path]


def find_lineage(checkpoints: Sequence[Path], data_path: Path | None = None) -> Lineage:
    """Find the lineage of the given checkpoints in their folders.

    A checkpoint belongs to the lineage if it was updated from a member, a member was updated from it, or both use the
    same data folder, because a change of the data affects both.

    Args:
        checkpoints: members given by the user; their folders are searched.
        data_path: parent of the data set's folder of the first training, if it has moved.

    Raises:
        PlaceError: if the data of a given checkpoint is missing, or in a folder that this user has never named.
        CheckpointError: for a given file that is not a checkpoint.
    """
    named = [path.absolute() for path in checkpoints]
    around = {file for path in named for file in path.parent.glob("*.pth")}
    found = [_read(path, data_path) for path in named]
    for file in sorted(around - set(named)):
        try:
            found.append(_read(file, data_path))
        except (CheckpointError, PlaceError):  # a cache or another kind of file, or its data is gone
            continue
    inside = {path: member for member in found if (path := member.path) in named}
    while True:
        more = {
            m.path: m for m in found if m.path not in inside and any(_related(m, other) for other in inside.values())
        }
        if not more:
            break
        inside |= more
    members = sorted(inside.values(), key=lambda member: (len(member.config["lineage"] or []), str(member.path)))
    known = {member.sha256 for member in members}
    entries = [entry for member in members for entry in member.config["lineage"] or []]
    missing = sorted({entry["parent"] for entry in entries if entry["parent_sha256"] not in known})
    return Lineage(members, missing, _unfinished(members, known))


def _read(path: Path, data_path: Path | None) -> Member:
    config = load_checkpoint(path)["config"]
    use_places(config, {} if config["lineage"] else {"data_path": data_path})
    return Member(path, file_hash(path), config, Path(config["data_path"]).absolute())


def _related(one: Member, other: Member) -> bool:
    shared = one.folder == other.folder and one.dataset == other.dataset
    return shared or one.sha256 in other.parents or other.sha256 in one.parents or bool(one.parents & other.parents)


def _unfinished(members: Sequence[Member], known: set[str]) -> list[Path]:
    in_use = {member.folder.parent for member in members}
    found = []
    for parent in sorted({member.path.parent for member in members}):
        for about in sorted(parent.glob("*.data/merged.json")):
            record = read_json(about).get("record") or {}
            if about.parent not in in_use and record.get("parent_sha256") in known:
                found.append(about.parent)
    return found


def last_of(path: Path) -> Path:
    """The file from which the training of a checkpoint resumes."""
    return path.with_name(path.name + LAST)
