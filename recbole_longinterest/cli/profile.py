"""The command `recbole-li profile`: write interest vectors of users, or show the card of one user."""

import argparse
from collections.abc import Sequence

from recbole_longinterest.cli.arguments import Commands, add_command, refuse_settings
from recbole_longinterest.cli.histories import add_id, add_model_and_history, events_of
from recbole_longinterest.common.errors import LongInterestError


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(commands, "profile", "write users' interest vectors, or show the card of one user")
    add_model_and_history(parser, ids=("user",))
    parser.add_argument("--output", "-o", metavar="FILE.parquet", help="write the interest vectors of all users to it")
    add_id(parser, "user", "print this user's card: categories, their drift, nearest users")


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Write interest vectors, and show a user's card.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: must be empty.

    Returns:
        The card, and the name of the written file.
    """
    refuse_settings("profile", settings)
    if args.output is None and args.user is None:
        raise LongInterestError("Give --output FILE.parquet, --user U, or both.")
    # saves start-up time: these import torch and pandas
    from recbole_longinterest.serving.explain.profiles import card_of, profile_table, write_parquet
    from recbole_longinterest.serving.recommender import Recommender

    model = Recommender.load(args.model, args.engine)
    histories = model.read_table(events_of(args, model))
    if args.output is None and args.user is None:  # --user named a column
        raise LongInterestError("Give --output FILE.parquet, the id of a user as --user, or both.")
    said = card_of(model, histories, args.user).to_text() if args.user is not None else ""
    if args.output:
        table = profile_table(model, histories)
        write_parquet(table, args.output)
        said += f"written: {args.output}, {len(table):,} users\n"
    return said
