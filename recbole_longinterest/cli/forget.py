"""The command `recbole-li forget`: remove users from the data, caches and checkpoints of a lineage."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_longinterest.cli.arguments import Commands, add_command, refuse_settings
from recbole_longinterest.common.errors import LongInterestError

if TYPE_CHECKING:
    from recbole_longinterest.training.forget.forget import Forgotten


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands,
        "forget",
        "remove users from the data and checkpoints of a lineage",
        "Remove the events of users from the data of a training and its updates, and from data set caches, reports and "
        "quarantine files. Checkpoints stay usable, but are marked, because their weights have learned from these "
        "events.",
        "Exported folders are not searched: export again. Raw files and files of new events are not changed: remove "
        "the users there yourself.",
        stopped="stopped; run the same command again to finish.",
    )
    parser.add_argument("users", nargs="*", metavar="USER", help="id of a user, as in the data")
    parser.add_argument("--users", dest="file", metavar="FILE", help="file with one id per line, - for standard input")
    parser.add_argument(
        "--lineage",
        action="append",
        required=True,
        metavar="CHECKPOINT",
        help="any checkpoint of the lineage; its folder is searched for the others; may be repeated for other folders",
    )
    parser.add_argument(
        "--data_path", metavar="DIR", help="folder that contains the first training's data set, if that has moved"
    )
    parser.add_argument("--retrain", action="store_true", help="train the (first) CHECKPOINT again from the start")
    parser.add_argument(
        "--receipt", metavar="FILE", help="file of the receipt (default: CHECKPOINT.erasure-NUMBER.json, without .pth)"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would change")


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Remove users.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: must be empty.

    Returns:
        A summary of what was removed, and the receipt.
    """
    behind = [word for word in settings if not word.startswith("-")]  # users after an option: argparse skips them
    refuse_settings("forget", [word for word in settings if word not in behind])
    users = [*args.users, *behind, *(_read_users(args.file) if args.file else [])]
    from recbole_longinterest.training.forget.forget import forget_users  # saves start-up time: torch, RecBole

    done = forget_users(
        users,
        args.lineage,
        data_path=args.data_path,
        retrain=args.retrain,
        receipt=args.receipt,
        dry_run=args.dry_run,
    )
    return _report(done, args.dry_run)


def _read_users(name: str) -> list[str]:
    """Read user ids from a file, one per line.

    Raises:
        LongInterestError: if the file is not UTF-8.
    """
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LongInterestError(f"{name} must be a text file in UTF-8 with one user per line: {error}") from error
    return [line.rstrip("\r") for line in text.split("\n") if line.strip()]


def _report(done: "Forgotten", dry_run: bool) -> str:
    lines = [f"finished an erasure that had been stopped; its receipt: {done.resumed}"] if done.resumed else []
    if dry_run:
        lines.append("dry run: nothing was changed; a real run would do this:")
    lines += [f"removed {number:,} lines: {file}" for file, number in done.lines.items()]
    if not done.lines and not (done.resumed and not done.receipt):
        lines.append("the lineage has no events of these users")
    for file, what in done.checkpoints.items():
        lines.append(
            {
                "marked": f"marked as trained on removed events: {file}",
                "retrained": f"trained again: {file}",
            }.get(what, f"set aside as {file.name}.unusable: {what}")
        )
    lines += [f"removed: {file}" for file in done.removed]
    if done.missing:
        lines.append(
            f"not found, so not searched: {', '.join(done.missing)}. If they are in another folder, add one of them as "
            "--lineage"
        )
    if done.receipt:
        lines.append(f"receipt: {done.receipt}")
    return "\n".join([*lines, ""])
