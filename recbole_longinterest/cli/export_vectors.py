"""The command `recbole-li export-vectors`: write vectors of users and items for a feature store or an index."""

import argparse
from collections.abc import Sequence

from recbole_longinterest.cli.arguments import Commands, add_command, refuse_settings
from recbole_longinterest.cli.histories import add_at, add_model_and_history, columns_in
from recbole_longinterest.cli.partitions import add_partitions, run_partitions


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands,
        "export-vectors",
        "write the vectors of users and items as Parquet files",
        "Read events from Parquet files and write the interest vectors of their users, and the vectors of all items. "
        "The dot product of both is the score of the network. It does not include the memory of transitions and the "
        "repeat bias.",
        "Run the same command again to continue with the remaining files.",
    )
    add_model_and_history(parser, history=None)
    add_partitions(parser, input_required=True)
    add_at(parser)
    parser.add_argument(
        "--output", "-o", required=True, metavar="PLACE", help="folder or URL for items.parquet and the folder users/"
    )


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Write vectors.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: must be empty.

    Returns:
        A summary of the written files.
    """
    refuse_settings("export-vectors", settings)
    from recbole_longinterest.serving.partitions import VECTORS, Batch  # saves start-up time: pandas, pyarrow

    named = {"columns": columns_in(args), "time_format": args.time_format, "at": args.at}
    return run_partitions(args, Batch(args.input, args.output, kind=VECTORS, **named))
