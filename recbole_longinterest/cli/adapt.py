"""The command `recbole-li adapt`: tune a text encoder to what goes together in a data set."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from recbole_longinterest.cli.arguments import (
    Commands,
    add_command,
    add_config_files,
    amount,
    config_files_of,
    count,
    settings_of,
)


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands,
        "adapt",
        "tune a text encoder to a data set (extra adapt)",
        "Tune a text encoder so that items that users take one after another have near vectors. Only the training part "
        "is read. A tenth of the items stops the training and another tenth measures it; their events are left out. "
        "The output is a folder for text_encoder. Ctrl-C keeps what is done; the same command goes on from there.",
        "Every other setting is given as --key=value, as with run; --seed=N is the seed.",
        stopped="stopped; the same command goes on from the last state that was written.",
    )
    parser.add_argument("--dataset", "-d", help="name of the data set (default: ml-100k)")
    parser.add_argument("--encoder", "-e", help="text_encoder: minilm, a model folder or a hub name")
    parser.add_argument("--output", "-o", type=Path, required=True, metavar="FOLDER", help="of the adapted encoder")
    parser.add_argument(
        "--method",
        choices=("lora", "adapter", "full"),
        default="lora",
        help="lora: low-rank updates inside the encoder; adapter: a small network behind it, for which every text is "
        "encoded once; full: all weights (default: %(default)s)",
    )
    parser.add_argument("--epochs", type=count, default=20, help="at most (default: %(default)s)")
    parser.add_argument(
        "--patience", type=count, default=3, help="epochs without a better recall that end it (default: %(default)s)"
    )
    parser.add_argument(
        "--batch", type=count, default=64, metavar="N", help="items that a batch begins with (default: %(default)s)"
    )
    parser.add_argument(
        "--part", type=count, default=256, metavar="N", help="texts in memory at a time (default: %(default)s)"
    )
    parser.add_argument("--learning-rate", type=amount, metavar="RATE", help="(default: 5e-4, 1e-3, 2e-5 by method)")
    parser.add_argument("--temperature", type=amount, default=0.05, help="of InfoNCE (default: %(default)s)")
    parser.add_argument("--rank", type=count, default=16, help="of lora's updates (default: %(default)s)")
    parser.add_argument(
        "--popularity", type=amount, default=0.3, metavar="A", help="correction of positives (default: %(default)s)"
    )
    parser.add_argument(
        "--structure", nargs="+", default=[], metavar="COLUMN", help="columns whose shared values are positives, too"
    )
    parser.add_argument(
        "--held-out", type=amount, default=0.1, metavar="SHARE", help="of the items, twice (default: %(default)s)"
    )
    parser.add_argument("--restart", action="store_true", help="begin anew, not where an interrupted call stopped")
    add_config_files(parser)


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Adapt an encoder.

    Args:
        args: of :func:`add_arguments`.
        settings: further arguments, ``--key=value`` each.

    Returns:
        The recalls before and after, and how to use the folder.
    """
    settings = settings_of(args, settings)
    from recbole_longinterest.common.packages import require

    if args.method == "lora":
        require("peft", "recbole-li adapt --method lora")
    # saves start-up time: these import torch and RecBole
    from recbole_longinterest.plugin.fixes.command_line import command_line
    from recbole_longinterest.training.adapting.job import adapt_encoder
    from recbole_longinterest.training.adapting.settings import AdaptSettings
    from recbole_longinterest.training.settings import make_config

    chosen = AdaptSettings(
        method=args.method,
        epochs=args.epochs,
        patience=args.patience,
        anchors=args.batch,
        part=args.part,
        temperature=args.temperature,
        learning_rate=args.learning_rate,
        rank=args.rank,
        popularity=args.popularity,
        held_out=args.held_out,
        structure=tuple(args.structure),
    )
    encoder = {"text_encoder": args.encoder} if args.encoder else {}
    with command_line(settings):
        config = make_config("LongInterest", args.dataset, config_files_of(args), encoder)
    done = adapt_encoder(config, args.output, chosen, args.restart)
    low, high = done.interval
    return (
        f"recall@10 among held-out items: {done.before:.4f} before, {done.after:.4f} adapted (difference 95 % interval "
        f"{low:+.4f} to {high:+.4f}); epoch {done.best} of {done.epochs}.\n"
        f"{done.output}: give it as --text_encoder={done.output}; its README.md is the model card.\n"
    )
