"""The command `recbole-li columns`: find the columns of the .item file that make the best text, and their wording."""

import argparse
from collections.abc import Sequence

from recbole_longinterest.cli.arguments import Commands, add_command, add_config_files, config_files_of, settings_of


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands,
        "columns",
        "choose the columns that make an item's text, and their wording",
        "Encode the items' texts with one column, then with more, and measure how well these texts find held-out items "
        "in the training part of the data. Columns of numbers are also tried in words, and the chosen columns with two "
        "templates. A tenth of the items is used to choose, another tenth to report the result. Validation and test "
        "events are not read.",
        "Every other setting is given as --key=value, as with run; --seed=N sets the seed of the held-out items.",
        stopped="stopped; encoded texts stay in the cache.",
    )
    parser.add_argument("--dataset", "-d", help="name of the data set (default: ml-100k)")
    parser.add_argument(
        "--columns", nargs="+", default=[], metavar="COLUMN", help="columns to choose from (default: all)"
    )
    add_config_files(parser)


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Choose columns.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: other settings, each as ``--key=value``.

    Returns:
        A table of the tried texts, and the settings that make the best one, as yaml.
    """
    settings = settings_of(args, settings)
    # saves start-up time: these import torch and RecBole
    import yaml

    from recbole_longinterest.plugin.fixes.command_line import command_line
    from recbole_longinterest.training.settings import make_config
    from recbole_longinterest.training.text_columns import choose_columns

    with command_line(settings):
        config = make_config("LongInterest", args.dataset, config_files_of(args))
    done = choose_columns(config, args.columns)
    lines = ["choosing  reporting  text (recall@10 among held-out items)"]
    lines += [f"{tried.choosing:8.4f}  {tried.reporting:9.4f}  {tried.wording}" for tried in done.tried]
    if done.own is not None:
        low, high = done.interval
        key = "text_template" if done.own.wording.template else "text_fields"
        lines.append(
            f"against {key} {done.own.wording}: {done.best.reporting - done.own.reporting:+.4f}, 95 % interval "
            f"{low:+.4f} to {high:+.4f}" + (" (no clear difference)" if low <= 0 <= high else "")
        )
    for name, value in done.settings.items():
        flow = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True)
        lines.append(f"{name}: {flow.strip().removesuffix('...').strip()}")
    return "\n".join(lines) + "\n"
