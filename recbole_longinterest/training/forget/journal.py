"""A change of many files that a kill cannot leave half done: all drafts first, then a journal, then the changes.

Until the journal is written nothing has changed, and the drafts are thrown away. From then on every step can be
repeated: a draft is copied over its file, a file is removed or set aside if it is still there. The folder of the drafts
is removed last. It holds no data of the users.
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
    """The steps of a change, in their order.

    Attributes:
        copies: draft and file of each file that is written.
        set_aside: file and new name of each file that is renamed.
        removed: files and folders that are removed.
        retrain: the checkpoint that is trained anew afterwards and the folder of its data, "" for none.
        receipt: draft and file of the receipt, which is written after everything else.
    """

    copies: list[tuple[str, str]] = field(default_factory=list)
    set_aside: list[tuple[str, str]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    retrain: tuple[str, str] = ("", "")
    receipt: tuple[str, str] = ("", "")

    def write(self, work: Path) -> None:
        """Write the journal: from now on the change is finished, if need be by the next run."""
        text = json.dumps(asdict(self))
        remember(JOURNAL, sha256(text.encode()).hexdigest())
        write_text(work / JOURNAL, text)

    def apply(self) -> None:
        """Do the steps but for retraining and receipt."""
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
    """The journal of a change that was stopped; None if there is none. Drafts without a journal are removed.

    Raises:
        LongInterestError: for a journal that this user has not written: it names files to write and to remove.
    """
    file = work / JOURNAL
    if not file.is_file():
        shutil.rmtree(work, ignore_errors=True)
        return None
    if not is_known(JOURNAL, file_hash(file)):
        raise LongInterestError(
            f"{work} holds an erasure that somebody else has begun, or on another machine. Finish it there, or remove "
            "the folder and forget the users again."
        )
    return Journal(**read_json(file))


def finish(work: Path) -> None:
    """Remove the folder of the drafts; the journal goes first, so that a kill leaves no journal without drafts."""
    (work / JOURNAL).unlink(missing_ok=True)
    shutil.rmtree(work, ignore_errors=True)


def copy_over(draft: Path, file: Path) -> None:
    """Copy a draft over a file, atomically."""
    with atomic_file(file) as copy:
        shutil.copyfile(draft, copy)
