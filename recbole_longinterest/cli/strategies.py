"""The command `recbole-li strategies`: compare the strategies by group of users, on held-out events."""

import argparse
from collections.abc import Sequence

from recbole_longinterest.cli.arguments import Commands, add_command, count, refuse_settings
from recbole_longinterest.cli.histories import add_model_and_history, events_of, write


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands, "strategies", "compare the strategies by group of users, on the last event of each user"
    )
    add_model_and_history(parser)
    parser.add_argument("--rules", metavar="FILE.yaml", help="evaluate the mix of these rules, not the default mix")
    parser.add_argument(
        "--users", dest="most", type=count, default=5000, metavar="N", help="maximum number of users (default: 5000)"
    )
    parser.add_argument("--output", "-o", metavar="FILE.html", help="also write the report as an HTML page")


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Rank the held-out events with every strategy.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: must be empty.

    Returns:
        The report, and the file of the page.
    """
    refuse_settings("strategies", settings)
    # saves start-up time: these import torch and pandas
    from recbole_longinterest.experiments.documents import markdown, page
    from recbole_longinterest.experiments.strategies import report
    from recbole_longinterest.serving.recommender import Recommender
    from recbole_longinterest.serving.strategies.held_out import hold_out

    model = Recommender.load(args.model, args.engine)
    histories = model.read_table(events_of(args, model))
    blocks = report(hold_out(model, histories, args.rules, args.most), args.model, args.history)
    said = markdown(blocks)
    return said + "\n" + write(args.output, page(blocks, "Strategies")) if args.output else said
