"""The command `recbole-li explain`: show why items are recommended to a user."""

import argparse
from collections.abc import Sequence

from recbole_longinterest.cli.arguments import Commands, add_command, refuse_settings
from recbole_longinterest.cli.histories import add_at, add_id, add_model_and_history, one_user, write
from recbole_longinterest.common.errors import LongInterestError


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(commands, "explain", "show which events and feature sources led to a recommendation")
    add_model_and_history(parser, ids=("user", "item"))
    add_at(parser)
    add_id(parser, "user", "the user (needed if the file has several)")
    add_id(parser, "item", "explain this item instead of the best ones")
    parser.add_argument("--topk", "-k", type=int, default=3, metavar="K", help="items to explain (default: 3)")
    parser.add_argument(
        "--method", default="removal", help="removal (the default), gradients (extra explain) or attention"
    )
    parser.add_argument(
        "--output", "-o", metavar="FILE.html", help="also write an HTML page with the interest over time"
    )


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Explain recommendations.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: must be empty.

    Returns:
        The explanation, and the file of the page.
    """
    refuse_settings("explain", settings)
    # saves start-up time: these import torch
    from recbole_longinterest.serving.explain.page import page_of, text_of
    from recbole_longinterest.serving.recommender import Recommender
    from recbole_longinterest.serving.results import NONE_KNOWN, POPULARITY

    model = Recommender.load(args.model, args.engine)
    user, history = one_user(model, args)
    candidates = None if args.item is None else [args.item]
    histories = {user: history}
    unseen = candidates is None
    found = model.recommend_histories(histories, args.topk, unseen, candidates, explain=args.method, at=args.at)[user]
    if found.problem or found.basis == POPULARITY:
        raise LongInterestError(f"There is nothing to explain: {found.problem or NONE_KNOWN}.")
    said = text_of(user, found)
    return said + write(args.output, page_of(model, user, history, found)) if args.output else said
