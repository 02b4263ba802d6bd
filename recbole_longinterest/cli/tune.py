"""The command `recbole-li tune`: its arguments, and what it prints; ray is imported when a search begins."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recbole.config import Config

from recbole_longinterest.cli.arguments import add_long_work, count
from recbole_longinterest.common import packages
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.resources import resource
from recbole_longinterest.plugin.fixes import environment
from recbole_longinterest.training import encode
from recbole_longinterest.training.settings import make_config

DESCRIPTION = (
    "Search the settings of a model with Ray Tune. Trials are compared on the validation data, every epoch; "
    "the winner alone is evaluated on the test data, once, afterwards. The first trial is the model's own settings, "
    "where the space holds them."
)
EPILOG = "Every other setting is given as --key=value and is the same in all trials. Ctrl-C stops, --resume goes on."


def add_arguments(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Make the command known to the parser of `recbole-li`."""
    parser = commands.add_parser(
        "tune", help="search a model's settings", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False
    )
    parser.add_argument("--model", "-m", help="any RecBole model (default: LongInterest)")
    parser.add_argument("--dataset", "-d", help="name of the data set (default: ml-100k)")
    parser.add_argument(
        "--space",
        type=Path,
        metavar="FILE",
        help="yaml file or RecBole's hyper.test (default: the plugin's for the model)",
    )
    parser.add_argument("--trials", type=count, metavar="N", help="settings to try (default: 10; a grid: all)")
    parser.add_argument(
        "--scheduler", choices=("asha", "median", "none"), default="asha", help="early stopping (default: %(default)s)"
    )
    parser.add_argument(
        "--search",
        choices=("random", "grid", "optuna"),
        default="random",
        help="how settings are chosen (default: %(default)s); a grid needs a --space of choice and quniform "
        "alone, optuna is an extra",
    )
    parser.add_argument(
        "--search-seed", type=int, default=2020, metavar="SEED", help="of the draws (default: %(default)s)"
    )
    parser.add_argument("--cpus-per-trial", type=_amount, default=1, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--gpus-per-trial", type=_amount, default=0, metavar="N", help="or a part of one (default: 0)")
    parser.add_argument("--max-concurrent", type=count, metavar="N", help="most trials at a time")
    parser.add_argument("--time-budget", type=_amount, metavar="SECONDS", help="no trial goes on after it")
    parser.add_argument("--address", metavar="RAY", help="a Ray cluster, as 'auto' or host:port (default: a local Ray)")
    parser.add_argument("--resume", action="store_true", help="go on with the search in --output, failed trials too")
    add_long_work(parser)


def run(args: argparse.Namespace, settings: Sequence[str]) -> tuple[str, bool]:
    """Search as the arguments say.

    Args:
        args: of :func:`add_arguments`.
        settings: further arguments, `--key=value` each.

    Returns:
        What is to be printed, and whether the search was stopped before its end.

    Raises:
        ValueError: one sentence for what does not hold.
    """
    packages.require_ray("recbole-li tune")
    from recbole_longinterest.experiments.tuning import records
    from recbole_longinterest.experiments.tuning.driver import Plan, search
    from recbole_longinterest.experiments.tuning.report import write_report

    with environment.command_line(settings):
        config = make_config(args.model, args.dataset, args.config_files.split(), {"show_progress": False})
    given = {**config.file_config_dict, **config.cmd_config_dict}
    space = args.space or resource("properties", f"search/{config['model']}.yaml")
    if not space.is_file() and args.space is None:
        raise LongInterestError(f"The plugin has no search space for {config['model']}; give one as --space FILE.")
    plan = Plan(
        model=config["model"],
        dataset=config["dataset"],
        space=str(space),
        trials=args.trials or (None if args.search == "grid" else 10),
        fixed={name: value for name, value in given.items() if name not in ("model", "dataset", "config_files")},
        scheduler=args.scheduler,
        search=args.search,
        search_seed=args.search_seed,
        cpus=args.cpus_per_trial,
        gpus=args.gpus_per_trial,
        concurrent=args.max_concurrent,
    )
    outcome = search(plan, args.output, args.resume, args.address, args.time_budget, show_progress=not args.quiet)
    summary = write_report(outcome, args.output)
    if outcome.trials and all(trial.status == records.ERROR for trial in outcome.trials):
        raise LongInterestError(
            f"Not one of {len(outcome.trials)} trials succeeded; {args.output / 'summary.md'} has the reasons. "
            f"The first: {outcome.trials[0].reason}"
        )
    return summary, outcome.interrupted


def encode_with_ray(config: Config, address: str | None) -> encode.Encoded:
    """What `recbole-li encode --ray` does: `encode_items` by a whole cluster.

    Args:
        config: from :func:`~recbole_longinterest.training.pipeline.make_config`, for LongInterest.
        address: Ray cluster; None is a local one.
    """
    packages.require_ray("recbole-li encode --ray")
    from recbole_longinterest.experiments.tuning.session import ray_session

    with ray_session(address):
        from recbole_longinterest.experiments.tuning.encoding import ClusterEncoder

        return encode.encode_items(config, ClusterEncoder)


def _amount(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be 0 or more; got {text}")
    return int(number) if number == int(number) else number
