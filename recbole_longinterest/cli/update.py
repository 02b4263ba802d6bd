"""The command `recbole-li update`: take new events, users and items into a checkpoint."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from recbole_longinterest.cli.arguments import Commands, add_command, check_settings

if TYPE_CHECKING:
    from recbole_longinterest.training.update.update import Updated


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
    parser.add_argument("--inter", required=True, metavar="FILE", help=".inter file of new events")
    parser.add_argument("--item", metavar="FILE", help=".item file of new items, and of those whose text changed")
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
    parser.add_argument("--data_path", metavar="DIR", help="folder above the training's data set, if it has moved")


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Update a checkpoint.

    Args:
        args: of :func:`add_arguments`.
        settings: of the training, ``--key=value`` each.

    Returns:
        What was new, and the new checkpoint.
    """
    check_settings(settings)
    # saves start-up time: these import torch, RecBole and yaml
    from recbole_longinterest.common.yaml import read_yaml
    from recbole_longinterest.training.update.update import update_checkpoint

    pairs = (setting.removeprefix("--").split("=", 1) for setting in settings)
    done = update_checkpoint(
        args.checkpoint,
        args.inter,
        args.item,
        args.output,
        scope=args.scope,
        replay=args.replay,
        without_text=args.without_text,
        data_path=args.data_path,
        settings={name: read_yaml(value) for name, value in pairs},
    )
    return _report(done, args.scope)


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
        lines.append("this update was made before; it is as it was")
    return "\n".join([*lines, f"checkpoint: {done.checkpoint}", ""])
