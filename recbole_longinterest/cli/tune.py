"""The command `recbole-li tune`: search a model's settings."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from recbole_longinterest.cli.arguments import (
    Commands,
    add_command,
    add_long_work,
    allow_own_models,
    amount,
    config_files_of,
    count,
    settings_of,
)
from recbole_longinterest.cli.outcome import StoppedEarly


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands,
        "tune",
        "search a model's settings",
        "Search the settings of a model with Ray Tune. Trials are compared on the validation data after every epoch. "
        "Only the best trial is evaluated on the test data, once, at the end. The first trial uses the model's default "
        "settings if they are part of the search space.",
        "Every other setting is given as --key=value and is the same in all trials. Ctrl-C stops the search, --resume "
        "continues it.",
        stopped="stopped; run the same command with --resume to continue.",
    )
    parser.add_argument("--model", "-m", help="any RecBole model, or your own as module:Class (default: LongInterest)")
    parser.add_argument("--dataset", "-d", help="name of the data set (default: ml-100k)")
    parser.add_argument(
        "--space",
        type=Path,
        metavar="FILE",
        help="search space, a yaml file or RecBole's hyper.test (default: the plugin's file for the model)",
    )
    parser.add_argument("--trials", type=count, metavar="N", help="number of trials (default: 10; for a grid all)")
    parser.add_argument(
        "--scheduler", choices=("asha", "median", "none"), default="asha", help="early stopping (default: %(default)s)"
    )
    parser.add_argument(
        "--search",
        choices=("random", "grid", "optuna"),
        default="random",
        help="how settings are chosen (default: %(default)s); grid needs a --space that has only choice and quniform; "
        "optuna needs the extra optuna",
    )
    parser.add_argument(
        "--search-seed", type=int, default=2020, metavar="SEED", help="seed of the search (default: %(default)s)"
    )
    parser.add_argument(
        "--protocol",
        choices=("native", "masked"),
        default="native",
        help="ranking used to compare trials: native, as in RecBole, or masked, without items that the user has seen "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--cpus-per-trial", type=amount, default=1, metavar="N", help="CPU cores per trial (default: %(default)s)"
    )
    parser.add_argument(
        "--gpus-per-trial", type=amount, default=0, metavar="N", help="GPUs per trial; may be a fraction (default: 0)"
    )
    parser.add_argument("--max-concurrent", type=count, metavar="N", help="maximum number of trials at a time")
    parser.add_argument(
        "--time-budget",
        type=amount,
        metavar="SECONDS",
        help="stop all trials after this time, counted from the start of the search, before the data is read",
    )
    parser.add_argument("--address", metavar="RAY", help="a Ray cluster, as 'auto' or host:port (default: a local Ray)")
    parser.add_argument("--resume", action="store_true", help="continue the search in --output and retry failed trials")
    add_long_work(parser)


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Search the settings of a model.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: settings of every trial, each as ``--key=value``.

    Returns:
        The summary.

    Raises:
        StoppedEarly: after Ctrl-C, with the summary so far.
    """
    settings = settings_of(args, settings)
    allow_own_models([args.model])
    from recbole_longinterest.experiments.tuning.tune import tune  # saves start-up time: torch, RecBole, ray

    outcome = tune(
        args.model,
        args.dataset,
        output=args.output,
        space=args.space,
        config_files=config_files_of(args),
        settings=settings,
        trials=args.trials,
        scheduler=args.scheduler,
        search=args.search,
        search_seed=args.search_seed,
        protocol=args.protocol,
        cpus_per_trial=args.cpus_per_trial,
        gpus_per_trial=args.gpus_per_trial,
        max_concurrent=args.max_concurrent,
        time_budget=args.time_budget,
        address=args.address,
        resume=args.resume,
        show_progress=not args.quiet,
    )
    summary = (args.output / "summary.md").read_text(encoding="utf-8")
    if outcome.interrupted:
        raise StoppedEarly(summary)
    return summary
