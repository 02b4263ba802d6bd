"""Change many files as one transaction: first all drafts, then a journal, then the changes.

After a kill before the journal is written, nothing has changed and the drafts are discarded. After that, every step can
be repeated: a draft is copied over its file; a file is removed or renamed if it still exists. The folder of the drafts
is removed last. It holds no data of the removed users.
"""

import json
import shutil
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import atomic_file, file_hash, write_text
from recbole_longinterest.common.json_text import read_json
from recbole_longinterest.common.known_places import is_known, remember

JOURNAL = "journal.json"


@dataclass
class Journal:
    """The steps of a change, in order.

    Attributes:
        copies: (draft, file) of each file that is written.
        set_aside: (file, new name) of each file that is renamed.
        removed: files and folders that are deleted.
        retrain: (checkpoint, its data folder) to retrain afterwards; empty texts for no retraining.
        receipt: (draft, file) of the receipt, which is written last.
    """

    copies: list[tuple[str, str]] = field(default_factory=list)
    set_aside: list[tuple[str, str]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    retrain: tuple[str, str] = ("", "")
    receipt: tuple[str, str] = ("", "")

    def write(self, work: Path) -> None:
        """Write the journal. From now on the change will be completed, if necessary by the next run."""
        text = json.dumps(asdict(self))
        remember(JOURNAL, sha256(text.encode()).hexdigest())
        write_text(work / JOURNAL, text)

    def apply(self) -> None:
        """Do all steps except retraining and receipt."""
        for draft, file in self.copies:
            copy_over(Path(draft), Path(file))
        for old, new in self.set_aside:
            if Path(old).exists():
                Path(old).replace(new)
        for name in self.removed:
            path = Path(name)
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def pending(work: Path) -> Journal | None:
    """Read the journal of an interrupted change; None without one. Drafts without a journal are removed.

    Raises:
        LongInterestError: for a journal that this user did not write: it could overwrite or delete any file.
    """
    file = work / JOURNAL
    if not file.is_file():
        shutil.rmtree(work, ignore_errors=True)
        return None
    if not is_known(JOURNAL, file_hash(file)):
        raise LongInterestError(
            f"{work} holds an erasure that another user has started, or that was started on another machine. Finish it "
            "there, or remove the folder and forget the users again."
        )
    return Journal(**read_json(file))


def finish(work: Path) -> None:
    """Remove the folder of the drafts. The journal goes first, so a kill never leaves a journal without drafts."""
    (work / JOURNAL).unlink(missing_ok=True)
    shutil.rmtree(work, ignore_errors=True)


def copy_over(draft: Path, file: Path) -> None:
    """Copy a draft over a file, atomically."""
    with atomic_file(file) as copy:
        shutil.copyfile(draft, copy)
