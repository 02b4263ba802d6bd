"""Remove users from a lineage: its data, caches and reports. Checkpoints are aligned with the data or retrained.

A checkpoint's weights have learned from the removed events, and only retraining undoes that. So a checkpoint that is
kept is marked: ``erasures`` in its config lists the receipts.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.files import write_text
from recbole_longinterest.training.forget.drafts import Drafts
from recbole_longinterest.training.forget.journal import Journal, copy_over, finish, pending
from recbole_longinterest.training.forget.lineage import ForgetError, find_lineage
from recbole_longinterest.training.forget.receipt import receipt_text
from recbole_longinterest.training.forget.retrain import retrain_checkpoint


@dataclass(frozen=True)
class Forgotten:
    """Results of an erasure.

    Attributes:
        lines: number of lines removed from each file; empty if no data of the users was found.
        checkpoints: for each affected checkpoint ``"marked"``, ``"retrained"``, or the reason why it was set aside.
        removed: deleted caches, states of stopped trainings, and data of stopped updates.
        missing: names of earlier checkpoints of the lineage that were not found.
        receipt: file of the receipt; None if nothing was removed.
        resumed: receipt of an interrupted erasure that was finished first; None without one.
    """

    lines: dict[Path, int]
    checkpoints: dict[Path, str]
    removed: list[Path]
    missing: list[str]
    receipt: Path | None
    resumed: Path | None = None


def forget_users(
    users: Collection[str],
    checkpoint: str | Path | Sequence[str | Path],
    *,
    data_path: str | Path | None = None,
    retrain: bool = False,
    receipt: str | Path | None = None,
    dry_run: bool = False,
) -> Forgotten:
    """Remove users from a lineage.

    Args:
        users: their tokens.
        checkpoint: any checkpoint of the lineage. Its folder is searched for the others; if they are in several
            folders, give one of each folder.
        data_path: parent of the data set's folder of the first training, if it has moved since.
        retrain: retrain the (first) checkpoint from scratch on its remaining events; it keeps its name.
        receipt: file of the receipt; ``<checkpoint>.erasure-<number>.json`` if None.
        dry_run: report what would change, and change nothing.

    Returns:
        What was removed. If the process is killed, the same call finishes the erasure.

    Raises:
        LongInterestError: if no user is given, or if a checkpoint or its data cannot be read.
    """
    users = {str(user) for user in users}
    named = [checkpoint] if isinstance(checkpoint, (str, Path)) else list(checkpoint)
    paths = [Path(path).absolute() for path in named]
    work = paths[0].with_name(f".{paths[0].name}.forget")
    with lock_files(work, "removing users of", "try again then"):
        resumed = _resume(work)
        if not users:
            if resumed is None:
                raise ForgetError("No user is given. Name users, or give a file with one user per line: --users FILE.")
            return Forgotten({}, {}, [], [], None, resumed)
        number = token_hex(6)
        drafts = Drafts(find_lineage(paths, None if data_path is None else Path(data_path)), users, number, work)
        drafts.make()
        journal, checkpoints = Journal(), dict(drafts.checkpoints)
        again = str(paths[0]) if retrain and paths[0] in checkpoints else ""
        if again:
            checkpoints[paths[0]] = "retrained"
        file = Path(receipt).absolute() if receipt else paths[0].with_name(f"{paths[0].stem}.erasure-{number}.json")
        done = Forgotten(drafts.lines, checkpoints, drafts.removed, drafts.lineage.missing, file, resumed)
        if dry_run or not drafts.rewritten:
            finish(work)
            return Forgotten(done.lines, checkpoints, done.removed, done.missing, None, resumed)
        journal.copies = [(str(draft), str(target)) for target, draft in drafts.rewritten.items()]
        journal.set_aside = [(str(old), str(new)) for old, new in drafts.set_aside() if str(old) != again]
        journal.removed = list(map(str, drafts.removed))
        if again:
            journal.retrain = again, next(str(one.folder) for one in drafts.lineage.members if str(one.path) == again)
        short = {path: what if what in ("marked", "retrained") else "set aside" for path, what in checkpoints.items()}
        text = receipt_text(number, len(users), drafts.rewritten, short, drafts.removed, paths[0].parent)
        write_text(work / "receipt.json", text)
        journal.receipt = (str(work / "receipt.json"), str(file))
        journal.write(work)
        _apply(journal, work)
        return done


def _resume(work: Path) -> Path | None:
    """Finish an interrupted erasure and return its receipt; None without one."""
    journal = pending(work)
    if journal is None:
        return None
    _apply(journal, work)
    return Path(journal.receipt[1])


def _apply(journal: Journal, work: Path) -> None:
    journal.apply()
    if journal.retrain[0]:
        retrain_checkpoint(Path(journal.retrain[0]), Path(journal.retrain[1]), work / "retraining")
    copy_over(*map(Path, journal.receipt))
    finish(work)
