"""The command `recbole-li add-items`: add new items to an exported model by their texts."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from recbole_longinterest.cli.arguments import Commands, add_command, refuse_settings


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands,
        "add-items",
        "add new items to an exported model by their texts",
        "Encode the texts of new items, so that an exported model can recommend them at once.",
        stopped="stopped; run the same command again to continue.",
    )
    parser.add_argument("folder", metavar="DIR", help="folder made by recbole-li export")
    parser.add_argument("items", metavar="FILE", help="CSV or RecBole .item file with the ids and text columns")
    parser.add_argument(
        "--output", "-o", metavar="DIR", help="write the result here instead of changing the model's folder"
    )
    parser.add_argument("--sign", metavar="KEY", help="sign the result with this Ed25519 private key, a PEM file")
    parser.add_argument(
        "--lift",
        type=float,
        metavar="L",
        help="number added to the scores of new items (default: the model's, at first the one that the export found on "
        "the validation data)",
    )
    parser.add_argument(
        "--boost",
        type=float,
        default=1.0,
        metavar="B",
        help="factor for the text vectors of new items; above 1 they are recommended more often (default: 1)",
    )
    parser.add_argument(
        "--text_encoder", metavar="NAME", help="encoder used in training, if it was a folder or a name on the hub"
    )


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Add items to a model folder.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: must be empty.

    Returns:
        The numbers of new and changed items.
    """
    refuse_settings("add-items", settings)
    # saves start-up time: these import torch and pandas
    from recbole_longinterest.serving.canaries import write_checked
    from recbole_longinterest.serving.engines import engines_in
    from recbole_longinterest.serving.index import index_kind
    from recbole_longinterest.serving.lift import used_lift
    from recbole_longinterest.serving.model_folder import held_place, read_folder
    from recbole_longinterest.serving.new_items import read_items, with_items

    output = Path(args.output or args.folder).absolute()
    with held_place(output):
        served = read_folder(args.folder)
        folder = served.folder or output
        rows = read_items(args.items, served)
        added = with_items(served, rows, boost=args.boost, text_encoder=args.text_encoder, lift=args.lift)
        write_checked(added.served, output, engines_in(folder), args.sign, index_kind(folder))
    signed = served.manifest is not None and served.manifest.signed
    unsigned = f"{args.folder} was signed, but {output} is not: give --sign KEY.\n" if signed and not args.sign else ""
    return (
        f"new items: {len(added.new):,}\n"
        f"known items with another text: {len(added.changed):,}\n"
        f"lift of new items: {used_lift(added.served.about):g}\n"
        f"model: {output}, {len(added.served.items.tokens) - 1:,} items\n"
        f"{unsigned}"
    )
