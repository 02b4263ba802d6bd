"""The command `recbole-li adapt`: fine-tune a text encoder on a data set."""

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
        "fine-tune a text encoder on a data set (extra adapt)",
        "Fine-tune a text encoder so that items that users take one after another get similar vectors. Only the "
        "training part of the data is read. A tenth of the items decides when to stop and another tenth measures the "
        "result; the training leaves the events of both out. The output is a folder for the setting text_encoder. "
        "Ctrl-C keeps what is done; run the same command again to continue.",
        "Every other setting is given as --key=value, as with run; --seed=N sets the seed.",
        stopped="stopped; run the same command again to continue from the last saved state.",
    )
    parser.add_argument("--dataset", "-d", help="name of the data set (default: ml-100k)")
    parser.add_argument(
        "--encoder", "-e", help="text encoder: minilm, a model folder or a hub name (default: the setting text_encoder)"
    )
    parser.add_argument(
        "--output", "-o", type=Path, required=True, metavar="FOLDER", help="folder for the adapted encoder"
    )
    parser.add_argument(
        "--method",
        choices=("lora", "adapter", "full"),
        default="lora",
        help="lora: low-rank updates inside the encoder; adapter: a small network on top of the encoder, which encodes "
        "every text only once; full: all weights (default: %(default)s)",
    )
    parser.add_argument("--epochs", type=count, default=20, help="maximum number of epochs (default: %(default)s)")
    parser.add_argument(
        "--patience",
        type=count,
        default=3,
        help="stop after this many epochs without a better recall (default: %(default)s)",
    )
    parser.add_argument(
        "--batch", type=count, default=64, metavar="N", help="anchor items per batch (default: %(default)s)"
    )
    parser.add_argument(
        "--part", type=count, default=256, metavar="N", help="texts in memory at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--learning-rate",
        type=amount,
        metavar="RATE",
        help="learning rate (default: 5e-4 for lora, 1e-3 for adapter, 2e-5 for full)",
    )
    parser.add_argument(
        "--temperature", type=amount, default=0.05, help="temperature of the loss (InfoNCE) (default: %(default)s)"
    )
    parser.add_argument("--rank", type=count, default=16, help="rank of the LoRA updates (default: %(default)s)")
    parser.add_argument(
        "--layers",
        type=count,
        metavar="N",
        help="upper layers that lora updates; the lower ones run only once, so an epoch is faster (default: all)",
    )
    parser.add_argument(
        "--popularity",
        type=amount,
        default=0.3,
        metavar="A",
        help="exponent that lowers the weight of popular positives; 0: none (default: %(default)s)",
    )
    parser.add_argument(
        "--structure",
        nargs="+",
        default=[],
        metavar="COLUMN",
        help="columns; items that share a value in one are positives, too",
    )
    parser.add_argument(
        "--held-out",
        type=amount,
        default=0.1,
        metavar="SHARE",
        help="share of the items in each held-out set (default: %(default)s)",
    )
    parser.add_argument("--restart", action="store_true", help="start again instead of continuing a stopped run")
    add_config_files(parser)


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Adapt an encoder.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: other settings, each as ``--key=value``.

    Returns:
        The recall before and after, and how to use the folder.
    """
    settings = settings_of(args, settings)
    from recbole_longinterest.common.free_memory import return_large_blocks
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
        layers=args.layers,
        popularity=args.popularity,
        held_out=args.held_out,
        structure=tuple(args.structure),
    )
    encoder = {"text_encoder": args.encoder} if args.encoder else {}
    with command_line(settings):
        config = make_config("LongInterest", args.dataset, config_files_of(args), encoder)
    return_large_blocks()  # 12 epochs with 12,101 texts needed 9 GB without it
    done = adapt_encoder(config, args.output, chosen, args.restart)
    low, high = done.interval
    return (
        f"recall@10 among held-out items: {done.before:.4f} before, {done.after:.4f} adapted (difference 95 % interval "
        f"{low:+.4f} to {high:+.4f}); epoch {done.best} of {done.epochs}.\n"
        f"Use the encoder as --text_encoder={done.output}; README.md in that folder is its model card.\n"
    )
