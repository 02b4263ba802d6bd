"""The command `recbole-li update`: add new events, users and items to a checkpoint."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_longinterest.cli.arguments import Commands, add_command, check_settings, count
from recbole_longinterest.cli.outcome import ProblemsFound
from recbole_longinterest.common.errors import LongInterestError

if TYPE_CHECKING:
    from recbole_longinterest.training.update.update import Updated

SHARE = 0.95  # default of --gate: least share of the parent's validation metric


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands,
        "update",
        "add new events, users and items to a checkpoint",
        "Make a new checkpoint from an old one and new events. The old checkpoint is not changed. If the update is "
        "stopped, run the same command again to continue.",
        "These settings of the training may be given: --epochs=3, --train_batch_size=256, --learning_rate, --seed, "
        "--eval_step=0 (1 chooses the epoch by validation), --stopping_step, --show_progress, --state, --num_threads.",
        stopped="stopped; run the same command again to continue.",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint of a LongInterest training or update")
    parser.add_argument(
        "--inter",
        required=True,
        metavar="FILE",
        help="new events: .inter, .csv, .tsv, .parquet or .jsonl; times in the unit used in training, or ISO dates",
    )
    for kind in ("item", "user"):
        parser.add_argument(
            f"--{kind}",
            action="append",
            default=[],
            metavar="FILE",
            help=f".{kind} file with new and changed {kind}s; or the name of the events' column of {kind}s",
        )
    columns = parser.add_argument_group("names of the events' columns, if they differ from the training's")
    for kind in ("user", "item", "time", "rating", "behavior"):
        names = [f"--{kind}-column"] if kind in ("user", "item") else [f"--{kind}", f"--{kind}-column"]
        columns.add_argument(
            *names,
            dest=f"{kind}_column",
            metavar="COLUMN",
            help=f"column of the {kind.replace('behavior', 'behaviour')}s",
        )
    columns.add_argument(
        "--time-format", metavar="FORMAT", help="format of dates that are not ISO, as in strptime: %%d.%%m.%%Y"
    )
    parser.add_argument("--output", "-o", metavar="FILE", help="the new checkpoint (default: next to the old one)")
    parser.add_argument(
        "--scope",
        default="head",
        help="parts to train: items (embeddings of new items), head (also the projection to the interest vector and "
        "the parts after it; the default), all",
    )
    parser.add_argument(
        "--replay",
        type=float,
        default=1.0,
        metavar="R",
        help="old targets replayed per new target, at least 2048 in total; 0 for none (default: 1)",
    )
    parser.add_argument("--without_text", action="store_true", help="do not encode the texts of new items")
    caps = parser.add_argument_group(
        "caps", "Events over a limit go to OUTPUT.quarantine.inter; the earliest are kept."
    )
    caps.add_argument(
        "--max-events-per-user-item-day", type=count, metavar="N", help="events per user, item and day (UTC)"
    )
    caps.add_argument("--max-events-per-user-day", type=count, metavar="N", help="events per user and day (UTC)")
    caps.add_argument(
        "--max-alike-users", type=count, metavar="N", help="users in a group that look alike, see the intake report"
    )
    gate = parser.add_argument_group("gate", "A refused checkpoint is kept as NAME.refused.pth; the exit code is 1.")
    gate.add_argument(
        "--gate",
        type=_share,
        nargs="?",
        const=SHARE,
        metavar="X",
        help="publish the checkpoint only if its weights are finite, a dozen old users get recommendations, and the "
        f"validation metric of old users is at least X times the parent's (without a value: {SHARE}; 0: no comparison)",
    )
    gate.add_argument(
        "--max-rank-rise",
        type=float,
        metavar="N",
        help="with --gate: publish only if no item rises by more than N ranks for old users",
    )
    parser.add_argument(
        "--data_path", metavar="DIR", help="folder that contains the training's data set, if that has moved"
    )


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(
            f"must be a number from 0 to 1; put --gate last for the default {SHARE}; got {text!r}"
        )
    return share


def _file_or_column(args: argparse.Namespace, kind: str) -> str | None:
    """Return the file among the values of ``--item`` or ``--user``; other values are names of columns.

    Raises:
        LongInterestError: if two files or two columns are given.
    """
    files = [value for value in getattr(args, kind) if Path(value).is_file() or Path(value).suffix or "/" in value]
    columns = [value for value in getattr(args, kind) if value not in files]
    columns += filter(None, [getattr(args, f"{kind}_column")])
    if len(files) > 1 or len(columns) > 1:
        raise LongInterestError(
            f"--{kind} takes one file of {kind}s and at most one column name; got {', '.join(files + columns)}."
        )
    setattr(args, f"{kind}_column", columns[0] if columns else None)
    return files[0] if files else None


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Update a checkpoint.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: settings of the training, each as ``--key=value``.

    Returns:
        Numbers of new events, users and items, the intake report, and the new checkpoint.

    Raises:
        ProblemsFound: if the gate refuses the checkpoint.
    """
    check_settings(settings)
    if args.max_rank_rise is not None and args.gate is None:
        raise LongInterestError("--max-rank-rise needs --gate. Give --gate, too.")
    # saves start-up time: these import torch, RecBole and yaml
    from recbole_longinterest.common.yaml import read_yaml
    from recbole_longinterest.training.update.caps import Caps
    from recbole_longinterest.training.update.gate import Gate
    from recbole_longinterest.training.update.update import update_checkpoint

    item, user = (_file_or_column(args, kind) for kind in ("item", "user"))
    pairs = (setting.removeprefix("--").split("=", 1) for setting in settings)
    done = update_checkpoint(
        args.checkpoint,
        args.inter,
        item,
        args.output,
        user=user,
        scope=args.scope,
        replay=args.replay,
        without_text=args.without_text,
        data_path=args.data_path,
        settings={name: read_yaml(value) for name, value in pairs},
        columns={kind: getattr(args, f"{kind}_column") for kind in ("user", "item", "time", "rating", "behavior")},
        time_format=args.time_format,
        caps=Caps(args.max_events_per_user_item_day, args.max_events_per_user_day, args.max_alike_users),
        gate=None if args.gate is None else Gate(args.gate, args.max_rank_rise),
    )
    said = _report(done, args.scope)
    if done.refused:
        raise ProblemsFound(said)
    return said


def _report(done: "Updated", scope: str) -> str:
    merged = done.merged
    lines = [
        f"new: {merged.events:,} events, {merged.users:,} users, {merged.items:,} items"
        + (f" ({merged.without_text:,} without a row in the item file)" if merged.without_text else ""),
        f"catalogue: {done.items:,} items",
    ]
    if merged.repeated:
        lines.append(f"repeated events, counted once: {merged.repeated:,}")
    if merged.earlier:
        lines.append(f"events earlier than their user's last event: {merged.earlier:,}, inserted in time order")
    if done.changed_texts:
        lines.append(f"changed texts, encoded again: {done.changed_texts:,}")
    if done.trained:
        lines.append(
            f"trained on {done.new_targets:,} new and {done.old_targets:,} old targets in {done.seconds:.1f} s: "
            f"{', '.join(done.trained) if scope != 'all' else 'all parts'}"
        )
    else:
        lines.append("this update was already done; its checkpoint is unchanged")
    if done.report is not None:
        from recbole_longinterest.training.update.intake import as_text  # saves start-up time

        lines += [as_text(done.report), f"report: {done.report_file}"]
    if done.quarantine is not None:
        lines.append(f"quarantine: {done.quarantine}")
    if done.refused:
        lines.append(f"refused: {done.refused}")
    return "\n".join([*lines, f"checkpoint: {done.checkpoint}", ""])
