"""The command `recbole-li columns`: which columns of the .item file make the best text."""

import argparse
from collections.abc import Sequence

from recbole_longinterest.cli.arguments import Commands, add_command, add_config_files, config_files_of, settings_of


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands,
        "columns",
        "choose the columns that make an item's text",
        "Encode the items' texts with one column, then with more, and look for held-out items of the training part by "
        "them. A tenth of the items chooses, another tenth reports. Validation and test events are not read.",
        "Every other setting is given as --key=value, as with run; --seed=N draws the held-out items.",
        stopped="stopped; texts that are encoded stay in the cache.",
    )
    parser.add_argument("--dataset", "-d", help="name of the data set (default: ml-100k)")
    parser.add_argument("--columns", nargs="+", default=[], metavar="COLUMN", help="to choose from (default: all)")
    add_config_files(parser)


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Choose columns.

    Args:
        args: of :func:`add_arguments`.
        settings: further arguments, ``--key=value`` each.

    Returns:
        A table of what was tried, and the setting.
    """
    settings = settings_of(args, settings)
    # saves start-up time: these import torch and RecBole
    from recbole_longinterest.plugin.fixes.command_line import command_line
    from recbole_longinterest.training.settings import make_config
    from recbole_longinterest.training.text_columns import choose_columns

    with command_line(settings):
        config = make_config("LongInterest", args.dataset, config_files_of(args))
    done = choose_columns(config, args.columns)
    lines = ["choosing  reporting  columns (recall@10 among held-out items)"]
    lines += [f"{tried.choosing:8.4f}  {tried.reporting:9.4f}  {', '.join(tried.columns)}" for tried in done.tried]
    if done.own is not None:
        low, high = done.interval
        lines.append(
            f"against text_fields {', '.join(done.own.columns)}: {done.best.reporting - done.own.reporting:+.4f}, 95 % "
            f"interval {low:+.4f} to {high:+.4f}" + (" (no clear difference)" if low <= 0 <= high else "")
        )
    return "\n".join((*lines, f"text_fields: [{', '.join(done.best.columns)}]")) + "\n"
