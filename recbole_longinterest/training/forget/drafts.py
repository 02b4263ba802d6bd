"""Draft versions of all files that change when users are removed: data, checkpoints, and files beside them."""

import glob
import json
import shutil
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from recbole_longinterest.common.files import file_hash, write_text
from recbole_longinterest.common.json_text import read_json
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.nn.state_keys import values_key
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint, save_checkpoint
from recbole_longinterest.training.forget.lineage import ForgetError, Lineage, Member, last_of
from recbole_longinterest.training.forget.lines import copy_without, user_columns, user_files
from recbole_longinterest.training.forget.realign import ERASURES, Realigned
from recbole_longinterest.training.forget.side_files import caches_of, scrubbed
from recbole_longinterest.training.update.intake import INTAKE, QUARANTINE
from recbole_longinterest.training.update.job import MERGED
from recbole_longinterest.training.update.merge import hashes
from recbole_longinterest.training.update.parent import SHOWN

UNUSABLE = ".unusable"


@dataclass
class Drafts:
    """The planned changes of an erasure.

    Args:
        lineage: the checkpoints.
        users: tokens of the users.
        receipt: name of the receipt.
        work: folder for the drafts; it is created.

    Attributes:
        lines: number of lines removed from each file.
        rewritten: draft of each file that changes.
        checkpoints: for each affected checkpoint ``"marked"``, or the reason why it is set aside.
        removed: files and folders that are deleted.
    """

    lineage: Lineage
    users: Collection[str]
    receipt: str
    work: Path
    lines: dict[Path, int] = field(default_factory=dict)
    rewritten: dict[Path, Path] = field(default_factory=dict)
    checkpoints: dict[Path, str] = field(default_factory=dict)
    removed: list[Path] = field(default_factory=list)
    _folders: dict[Path, Path] = field(default_factory=dict)  # changed data folder -> its draft
    _hashes: dict[str, str] = field(default_factory=dict)  # old -> new SHA-256 of checkpoints
    _merged: dict[str, dict[str, str]] = field(default_factory=dict)  # the same for merged data

    def make(self) -> None:
        """Write the drafts."""
        self.work.mkdir(parents=True)
        for folder, member in {member.folder: member for member in self.lineage.members}.items():
            self._data(folder, member)
        for folder, member in {member.path.parent: member for member in self.lineage.members}.items():
            self._side_files(folder, member.config)
        for member in self.lineage.members:
            if member.folder in self._folders:
                self._checkpoint(member)
        if self.lines:
            self.removed += self.lineage.unfinished

    def set_aside(self) -> list[tuple[Path, Path]]:
        """Checkpoints that cannot be aligned with their new data, with their new names."""
        aside = [path for path, done in self.checkpoints.items() if done != "marked"]
        return [(path, path.with_name(path.name + UNUSABLE)) for path in aside]

    def _draft(self, file: Path) -> Path:
        draft = self.work / f"{len(self.rewritten)}-{file.name}"
        self.rewritten[file] = draft
        return draft

    def _data(self, folder: Path, member: Member) -> None:
        name = member.dataset
        with_users = user_files(folder, name, member.config)
        copy = self.work / f"data-{len(self._folders)}" / name
        copy.mkdir(parents=True)
        changed = {}
        for file, places in with_users.items():
            number = copy_without(file, copy / file.name, places, self.users, member.config)
            if number:
                changed[file] = number
        if not changed:
            shutil.rmtree(copy.parent)
            return
        for file in folder.glob(f"{glob.escape(name)}.*"):
            if file.is_file() and file not in with_users:
                shutil.copyfile(file, copy / file.name)
        self.lines |= changed
        self.rewritten |= {file: copy / file.name for file in changed}
        self._folders[folder] = copy

    def _side_files(self, folder: Path, config: Settings) -> None:
        """Draft the quarantine files and reports of a folder, including those of failed updates."""
        for quarantine in sorted(folder.glob(f"*{QUARANTINE}")):
            draft = self.work / f"{len(self.rewritten)}-{quarantine.name}"
            number = copy_without(quarantine, draft, user_columns(quarantine, config), self.users, config)
            if number:
                self.lines[quarantine] = number
                self.rewritten[quarantine] = draft
        for report in sorted(folder.glob(f"*{INTAKE}")):
            clean = scrubbed(report.read_text(encoding="utf-8"), self.users)
            if clean is not None:
                write_text(self._draft(report), clean)

    def _checkpoint(self, member: Member) -> None:
        self.removed += [file for file in (last_of(member.path), *caches_of(member)) if file.is_file()]
        state = load_checkpoint(member.path)
        try:
            realigned = Realigned(member, state, self._folders[member.folder])
        except ForgetError as error:
            self.checkpoints[member.path] = str(error)
            return
        self.checkpoints[member.path] = "marked"
        config = state["config"]
        lineage = self._lineage(member)
        levels = {
            spec.name: realigned.state["state_dict"][values_key(spec.name)].tolist()
            for spec in realigned.sources
            if values_key(spec.name) in realigned.state["state_dict"]
        }
        config.final_config_dict.update(
            {ERASURES: [*(config[ERASURES] or []), self.receipt], "lineage": lineage},
            rating_levels=levels.pop("rating", None),
            source_levels=levels or None,
        )
        draft = self._draft(member.path)
        save_checkpoint({**realigned.state, "config": config}, draft)
        self._hashes[member.sha256] = file_hash(draft)
        self._merged_folder(member, lineage, realigned)

    def _lineage(self, member: Member) -> list[dict[str, Any]] | None:
        """Return the lineage without hashes of files that held the users, which would allow to confirm a guess."""
        entries = member.config["lineage"]
        if not entries:
            return entries
        changed = []
        for entry in entries:
            before = json.dumps(entry["merged"]["sha256"], sort_keys=True)
            if entry is entries[-1]:
                ends = tuple(entry["merged"]["sha256"])
                self._merged[before] = hashes(self._folders[member.folder], member.dataset, ends)
            changed.append(
                {
                    **entry,
                    "parent_sha256": self._hashes.get(entry["parent_sha256"], ""),
                    "new_sha256": dict.fromkeys(entry["new_sha256"]),
                    "merged": {**entry["merged"], "sha256": self._merged.get(before, {})},
                }
            )
        return changed

    def _merged_folder(self, member: Member, lineage: list[dict[str, Any]] | None, realigned: Realigned) -> None:
        folder = member.folder.parent
        if not lineage:
            return
        if (folder / SHOWN).is_file():
            shown = np.load(folder / SHOWN, allow_pickle=False)
            draft = self._draft(folder / SHOWN)
            with draft.open("wb") as file:
                np.save(file, np.setdiff1d(shown, realigned.removed_keys), allow_pickle=False)
        if (folder / MERGED).is_file():
            about = read_json(folder / MERGED)
            record = {name: lineage[-1].get(name) for name in about["record"]}
            write_text(self._draft(folder / MERGED), json.dumps({"record": record, "merged": lineage[-1]["merged"]}))
