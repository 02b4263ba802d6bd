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
        "Remove the events of users from the data of a training and its updates, from data set caches, reports and "
        "quarantines. Checkpoints stay usable and are marked: their weights have learned from these events.",
        "Exported folders are not searched: export again. Raw files and files of new events are yours to change.",
        stopped="stopped; the same command finishes.",
    )
    parser.add_argument("users", nargs="*", metavar="USER", help="token of a user, as in the data")
    parser.add_argument("--users", dest="file", metavar="FILE", help="file with a token a line, - for standard input")
    parser.add_argument(
        "--lineage",
        action="append",
        required=True,
        metavar="CHECKPOINT",
        help="any checkpoint of the lineage; the others are searched in its folder; may be repeated for other folders",
    )
    parser.add_argument(
        "--data_path", metavar="DIR", help="folder above the first training's data set, if it has moved"
    )
    parser.add_argument("--retrain", action="store_true", help="train the (first) CHECKPOINT anew, from the start")
    parser.add_argument("--receipt", metavar="FILE", help="default: CHECKPOINT.erasure-NUMBER.json, without .pth")
    parser.add_argument("--dry-run", action="store_true", help="change nothing, and say what would change")


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Remove users.

    Args:
        args: of :func:`add_arguments`.
        settings: none.

    Returns:
        What was removed, and the receipt.
    """
    behind = [word for word in settings if not word.startswith("-")]  # users behind an option, which argparse leaves
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
    """Tokens of a file, one a line.

    Raises:
        LongInterestError: for a file that is not UTF-8.
    """
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LongInterestError(f"{name} must be a text file in UTF-8 with a user a line: {error}") from error
    return [line.rstrip("\r") for line in text.split("\n") if line.strip()]


def _report(done: "Forgotten", dry_run: bool) -> str:
    lines = [f"finished an erasure that was stopped; its receipt: {done.resumed}"] if done.resumed else []
    if dry_run:
        lines.append("dry run: nothing is changed; this would be:")
    lines += [f"removed {number:,} lines: {file}" for file, number in done.lines.items()]
    if not done.lines and not (done.resumed and not done.receipt):
        lines.append("nothing of these users is in the lineage")
    for file, what in done.checkpoints.items():
        lines.append(
            {
                "marked": f"marked as trained on removed events: {file}",
                "retrained": f"trained anew: {file}",
            }.get(what, f"set aside as {file.name}.unusable: {what}")
        )
    lines += [f"removed: {file}" for file in done.removed]
    if done.missing:
        lines.append(
            f"not found, so not searched: {', '.join(done.missing)}. If they are in another folder, name one as "
            "--lineage, too"
        )
    if done.receipt:
        lines.append(f"receipt: {done.receipt}")
    return "\n".join([*lines, ""])
