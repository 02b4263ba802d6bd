"""The command `recbole-li run`: train a model, evaluate it, save a checkpoint."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_longinterest.cli.arguments import (
    Commands,
    add_cluster,
    add_command,
    add_config_files,
    allow_own_models,
    config_files_of,
    count,
    refuse_without_ray,
    settings_of,
    whole,
)
from recbole_longinterest.common.resources import resource

if TYPE_CHECKING:
    from recbole.config import Config

    from recbole_longinterest.training.pipeline import Run

DESCRIPTION = "Train a RecBole model, evaluate it by full ranking, save a checkpoint."
EPILOG = (
    "Every other setting is given as --key=value, for example --epochs=20 --learning_rate=0.001 --text_features=off. "
    f"{resource('properties', 'LongInterest.yaml')} lists the settings of LongInterest. "
    "--nproc=N and --num_threads=N set the numbers of processes and threads."
)
SWITCHES = {"True": True, "true": True, "False": False, "false": False}


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    summary = "train a model, evaluate it, save a checkpoint"
    add_run_arguments(add_command(commands, "run", summary, DESCRIPTION, EPILOG))


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of RecBole's run_recbole.py and the additional ones of this plugin."""
    parser.add_argument("--model", "-m", help="any RecBole model, or your own as module:Class (default: LongInterest)")
    parser.add_argument("--dataset", "-d", help="name of the data set (default: ml-100k)")
    add_config_files(parser)
    parser.add_argument(
        "--resume",
        metavar="CHECKPOINT",
        nargs="?",
        const="True",
        help="continue the run of this checkpoint with its settings; without a value, or with True, continue the last "
        "run with the given settings",
    )
    parser.add_argument("--quiet", action="store_true", help="print only results and errors")
    parser.add_argument("--log_file", metavar="FILE", help="also append the log to this file")
    cluster = parser.add_argument_group("one run by several workers of a Ray cluster")
    cluster.add_argument("--ray", action="store_true", help="train on Ray, on this machine or on a cluster (--address)")
    cluster.add_argument("--workers", type=count, metavar="N", help="processes that share every batch (default: 1)")
    add_cluster(cluster)
    cluster.add_argument(
        "--storage",
        metavar="DIR",
        help="folder or URL (s3://...) that all nodes reach, for the files of each epoch (default: checkpoint_dir)",
    )
    cluster.add_argument(
        "--max-failures",
        type=whole,
        metavar="N",
        help="how often the run continues from its last saved epoch after workers have died (default: 3)",
    )


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Train and evaluate.

    Args:
        args: parsed arguments, see :func:`add_run_arguments`.
        settings: other settings, each as ``--key=value``.

    Returns:
        The results as a table.
    """
    settings = settings_of(args, settings)
    refuse_without_ray(args, ("workers", "address", "storage", "cpus_per_worker", "gpus_per_worker", "max_failures"))
    allow_own_models([args.model])
    # saves start-up time: these import torch and RecBole
    from recbole_longinterest.plugin.fixes.command_line import command_line
    from recbole_longinterest.training import pipeline, processes
    from recbole_longinterest.training.settings import make_config

    with command_line(settings):
        given: dict[str, object] = {"resume": SWITCHES.get(args.resume, args.resume)}
        if args.quiet:
            given |= {"quiet": True, "show_progress": False}
        if args.log_file:
            given["log_file"] = str(Path(args.log_file).resolve())
        arguments = args.model, args.dataset, config_files_of(args), given
        config = make_config(*arguments)
        if args.ray:
            result = _run_on_ray(config, args)
        elif processes.several(config):
            result = processes.run(config, arguments, settings)
        else:
            result = pipeline.run(config)
    return _table(config["model"], config["dataset"], result)


def _run_on_ray(config: "Config", args: argparse.Namespace) -> "Run":
    from recbole_longinterest.common.packages import require_ray

    require_ray("recbole-li run --ray")
    from recbole_longinterest.training.cluster.driver import Workers, run_on_ray  # saves start-up time: ray

    given = {
        "number": args.workers,
        "cpus": args.cpus_per_worker,
        "gpus": args.gpus_per_worker,
        "failures": args.max_failures,
    }
    named = {name: value for name, value in given.items() if value is not None}
    workers = Workers(**{"number": 1, **named}, address=args.address, storage=args.storage)
    return run_on_ray(config, workers, args.model)


def _table(model: str, dataset: str, result: "Run") -> str:
    valid: Mapping[str, float] = result.best_valid_result or {}
    test: Mapping[str, float] = result.test_result or {}
    width = max(map(len, ["metric", *(test or valid)]))
    lines = [f"{model} on {dataset}", f"{'metric':{width}}  {'validation':>10}  {'test':>10}"]
    if not test and not valid:
        lines[1] = "the split has no rows to validate or test on"
    for metric in test or valid:
        values = (f"{part[metric]:10.4f}" if metric in part else f"{'-':>10}" for part in (valid, test))
        lines.append(f"{metric:{width}}  {'  '.join(values)}")
    if result.reads_request_time:
        from recbole_longinterest.training.pipeline import REQUEST_NOTE  # saves start-up time, as above

        lines.append(REQUEST_NOTE)
    if result.checkpoint:
        lines.append(f"checkpoint: {result.checkpoint}")
    return "\n".join(lines) + "\n"
