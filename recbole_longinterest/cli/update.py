"""The command `recbole-li update`: take new events, users and items into a checkpoint."""

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

SHARE = 0.95  # of the parent's validation metric, for a --gate without a number


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands,
        "update",
        "take new events, users and items into a checkpoint",
        "Make a new checkpoint of an old one and of new events. The old one is not touched. If it is stopped, the "
        "same command goes on.",
        "Of the training's settings: --epochs=3, --train_batch_size=256, --learning_rate, --seed, --eval_step=0 "
        "(1 chooses the epoch by validation), --stopping_step, --show_progress, --state, --num_threads.",
        stopped="stopped; the same command goes on from there.",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="of a LongInterest training or update")
    parser.add_argument(
        "--inter",
        required=True,
        metavar="FILE",
        help="new events: .inter, .csv, .tsv, .parquet or .jsonl; times in the training's unit, or ISO dates",
    )
    for kind in ("item", "user"):
        parser.add_argument(
            f"--{kind}",
            action="append",
            default=[],
            metavar="FILE",
            help=f".{kind} file of new {kind}s and of changed ones; or the events' column of {kind}s",
        )
    columns = parser.add_argument_group("names of the events' columns, where they are not the training's")
    for kind in ("user", "item", "time", "rating", "behavior"):
        names = [f"--{kind}-column"] if kind in ("user", "item") else [f"--{kind}", f"--{kind}-column"]
        columns.add_argument(*names, dest=f"{kind}_column", metavar="COLUMN", help=f"column of the {kind}s")
    columns.add_argument(
        "--time-format", metavar="FORMAT", help="of dates that are not ISO, as in strptime: %%d.%%m.%%Y"
    )
    parser.add_argument("--output", "-o", metavar="FILE", help="the new checkpoint (default: beside the old one)")
    parser.add_argument(
        "--scope",
        default="head",
        help="what is trained: items (embeddings of new items), head (those, the projection to interest and what "
        "follows it; the default), all",
    )
    parser.add_argument(
        "--replay",
        type=float,
        default=1.0,
        metavar="R",
        help="old targets replayed for each new one, 2048 at least; 0 replays none (default: 1)",
    )
    parser.add_argument("--without_text", action="store_true", help="do not encode the texts of new items")
    caps = parser.add_argument_group("caps", "Events beyond a cap go to OUTPUT.quarantine.inter; the earliest stay.")
    caps.add_argument(
        "--max-events-per-user-item-day", type=count, metavar="N", help="events of a user with an item on a day (UTC)"
    )
    caps.add_argument("--max-events-per-user-day", type=count, metavar="N", help="events of a user on a day")
    caps.add_argument(
        "--max-alike-users", type=count, metavar="N", help="users of a group that looks alike, see the intake report"
    )
    gate = parser.add_argument_group("gate", "A refused checkpoint is kept as NAME.refused.pth; the exit code is 1.")
    gate.add_argument(
        "--gate",
        type=_share,
        nargs="?",
        const=SHARE,
        metavar="X",
        help="put the checkpoint in place only if its weights are finite, a dozen old users get recommendations, and "
        f"the validation metric of old users is at least X of the parent's ({SHARE}; 0 does not compare)",
    )
    gate.add_argument(
        "--max-rank-rise",
        type=float,
        metavar="N",
        help="with --gate: and no item rises by more than N places for old users",
    )
    parser.add_argument("--data_path", metavar="DIR", help="folder above the training's data set, if it has moved")


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, or stand last to be {SHARE}; got {text!r}")
    return share


def _file_or_column(args: argparse.Namespace, kind: str) -> str | None:
    """The file among the values of ``--item`` or ``--user``; a value that is no file is the name of a column.

    Raises:
        LongInterestError: for two files, or two columns.
    """
    files = [value for value in getattr(args, kind) if Path(value).is_file() or Path(value).suffix or "/" in value]
    columns = [value for value in getattr(args, kind) if value not in files]
    columns += filter(None, [getattr(args, f"{kind}_column")])
    if len(files) > 1 or len(columns) > 1:
        raise LongInterestError(
            f"--{kind} takes one file of {kind}s, and once the name of a column; got {', '.join(files + columns)}."
        )
    setattr(args, f"{kind}_column", columns[0] if columns else None)
    return files[0] if files else None


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Update a checkpoint.

    Args:
        args: of :func:`add_arguments`.
        settings: of the training, ``--key=value`` each.

    Returns:
        What was new, the intake report, and the new checkpoint.

    Raises:
        ProblemsFound: if the gate refuses the checkpoint.
    """
    check_settings(settings)
    if args.max_rank_rise is not None and args.gate is None:
        raise LongInterestError("--max-rank-rise is a part of the gate. Give --gate, too.")
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
        lines.append(f"events earlier than their user's last: {merged.earlier:,}, put in their place in time")
    if done.changed_texts:
        lines.append(f"changed texts, encoded again: {done.changed_texts:,}")
    if done.trained:
        lines.append(
            f"trained on {done.new_targets:,} new and {done.old_targets:,} old targets in {done.seconds:.1f} s: "
            f"{', '.join(done.trained) if scope != 'all' else 'all parts'}"
        )
    else:
        lines.append("this update was done before; its checkpoint is unchanged")
    if done.report is not None:
        from recbole_longinterest.training.update.intake import as_text  # saves start-up time

        lines += [as_text(done.report), f"report: {done.report_file}"]
    if done.quarantine is not None:
        lines.append(f"quarantine: {done.quarantine}")
    if done.refused:
        lines.append(f"refused: {done.refused}")
    return "\n".join([*lines, f"checkpoint: {done.checkpoint}", ""])
