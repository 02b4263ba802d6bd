"""The commands `update` and `add-items`: they parse, and say what to print."""

import argparse
from pathlib import Path
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.yaml import read_yaml
from recbole_longinterest.serving.model_folder import check_place, read_folder, write_folder


def add_arguments(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add the commands to the parser of `recbole-li`."""
    _add_update(commands)
    _add_items(commands)


def _add_update(commands: Any) -> None:  # noqa: ANN401
    parser = commands.add_parser(
        "update",
        help="take new events, users and items into a checkpoint",
        description="Make a new checkpoint of an old one and of new events. The old one is not touched. Stopped, the "
        "same command goes on.",
        epilog="Of the training's settings: --epochs=3, --train_batch_size=256, --learning_rate, --seed, --eval_step=0 "
        "(1 chooses the epoch by validation), --stopping_step, --show_progress, --state, --num_threads.",
        allow_abbrev=False,
    )
    parser.set_defaults(update=_update)
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
        help="old targets replayed for each new one, 2048 at least; 0 is none (default: 1)",
    )
    parser.add_argument("--without_text", action="store_true", help="do not encode the texts of new items")
    parser.add_argument("--data_path", metavar="DIR", help="folder above the training's data set, if it has moved")


def _update(args: argparse.Namespace, settings: list[str]) -> str:
    from recbole_longinterest.training.update.update import update_checkpoint

    done = update_checkpoint(
        args.checkpoint,
        args.inter,
        args.item,
        args.output,
        scope=args.scope,
        replay=args.replay,
        without_text=args.without_text,
        data_path=args.data_path,
        settings=_values(settings),
    )
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
            f"{', '.join(done.trained) if args.scope != 'all' else 'all parts'}"
        )
    else:
        lines.append("this update was made before; it is as it was")
    return "\n".join([*lines, f"checkpoint: {done.checkpoint}", ""])


def _values(settings: list[str]) -> dict[str, Any]:
    values = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not name.startswith("--") or not equals:
            raise LongInterestError(f"{setting} is not a setting; write --key=value, without spaces around '='.")
        values[name[2:]] = read_yaml(value)
    return values


def _add_items(commands: Any) -> None:  # noqa: ANN401
    parser = commands.add_parser(
        "add-items",
        help="add new items to an exported model by their texts",
        description="Encode the texts of new items, so that an exported model recommends them at once.",
        allow_abbrev=False,
    )
    parser.set_defaults(update=_extend)
    parser.add_argument("folder", metavar="DIR", help="folder made by recbole-li export")
    parser.add_argument("items", metavar="FILE", help="items.csv, or RecBole's .item: token and the text's columns")
    parser.add_argument(
        "--output", "-o", metavar="DIR", help="write there and leave DIR as it is (default: change DIR)"
    )
    parser.add_argument(
        "--boost",
        type=float,
        default=1.0,
        metavar="B",
        help="factor of the new items' text vectors; above 1 they are recommended more often (default: 1)",
    )


def _extend(args: argparse.Namespace, settings: list[str]) -> str:
    from recbole_longinterest.serving.engines import engines_in, writer_of
    from recbole_longinterest.serving.new_items import read_items, with_items

    if settings:
        raise LongInterestError(f"recbole-li add-items has no argument {settings[0]}; see recbole-li add-items -h.")
    served = read_folder(args.folder)
    output = Path(args.output or args.folder).absolute()
    check_place(output)
    added = with_items(served, read_items(args.items, served), boost=args.boost)
    write_folder(added.served, output, writer_of(engines_in(Path(args.folder)), added.served))
    return (
        f"new items: {len(added.new):,}\n"
        f"known items with another text: {len(added.changed):,}\n"
        f"model: {output}, {len(added.served.items.tokens) - 1:,} items\n"
    )
