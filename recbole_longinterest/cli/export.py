"""The command `recbole-li export`: make a model folder from a checkpoint."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from recbole_longinterest.cli.arguments import Commands, add_command, read_places


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(commands, "export", "make a self-contained model folder from a checkpoint")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint file of a LongInterest training")
    parser.add_argument("--output", "-o", required=True, metavar="DIR", help="folder to create or replace")
    parser.add_argument(
        "--data_path", metavar="DIR", help="folder that contains the data set's folder, if that has moved"
    )
    parser.add_argument(
        "--title_field", help="column of the .item file with titles (default: the first column of the text)"
    )
    parser.add_argument(
        "--category_field",
        help="column with categories (default: the setting category_field, else the first token_seq column of the text "
        "after the title, else its first token column with repeated values)",
    )
    parser.add_argument(
        "--int8", action="store_true", help="store tables and weights as int8 with one scale factor per row"
    )
    parser.add_argument(
        "--engine", action="append", default=[], metavar="NAME", help="add the files of this engine; may be repeated"
    )
    parser.add_argument("--sign", metavar="KEY", help="sign the folder with this Ed25519 private key, a PEM file")
    parser.add_argument(
        "--index",
        default="exact",
        metavar="KIND",
        help="item index for large catalogues: exact (no index, the default), ivf, hnsw, or auto (by the number of "
        "items)",
    )
    parser.add_argument(
        "--metrics", metavar="FILE", help="test metrics for the model card: a result.json of recbole-li compare"
    )
    parser.add_argument("--onnx", action="store_true", help="the same as --engine onnx: add the ONNX files")


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Export a checkpoint.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: new paths for those that the checkpoint names, as ``--text_vectors=FILE``.

    Returns:
        A summary of the folder, and the next command.
    """
    named = read_places("export", settings)
    # saves start-up time: these import torch and RecBole
    from recbole_longinterest.serving.index import index_kind
    from recbole_longinterest.serving.model_card import CARD, read_metrics
    from recbole_longinterest.training.export import export_checkpoint

    served = export_checkpoint(
        args.checkpoint,
        args.output,
        data_path=args.data_path,
        settings=named,
        title_field=args.title_field,
        category_field=args.category_field,
        int8=args.int8,
        onnx=args.onnx,
        engines=args.engine,
        sign=args.sign,
        index=args.index,
        metrics=read_metrics(Path(args.metrics)) if args.metrics else None,
    )
    kind = index_kind(Path(args.output))
    size = sum(file.stat().st_size for file in Path(args.output).iterdir())
    titles = sum(map(bool, served.items.titles))
    return (
        f"model: {args.output} ({size / 1e6:.1f} MB, {served.precision})\n"
        f"items: {len(served.items.tokens) - 1}, {titles} with a title\n"
        f"card: {Path(args.output, CARD)}\n"
        f"index of items: {'none' if kind == 'exact' else kind}\n"
        f"recommend: recbole-li recommend --model {shlex.quote(args.output)} --history FILE --topk 10\n"
    )
