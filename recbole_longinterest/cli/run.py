"""The command `recbole-li run`: train a model, evaluate it, save a checkpoint."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_longinterest.cli.arguments import (
    Commands,
    add_command,
    add_config_files,
    allow_own_models,
    config_files_of,
    settings_of,
)
from recbole_longinterest.common.resources import resource

if TYPE_CHECKING:
    from recbole_longinterest.training.pipeline import Run

DESCRIPTION = "Train a RecBole model, evaluate it by full ranking, save a checkpoint."
EPILOG = (
    "Every other setting is given as --key=value, for example --epochs=20 --learning_rate=0.001 --text_features=off; "
    f"{resource('properties', 'LongInterest.yaml')} lists them; "
    "--nproc=N and --num_threads=N set processes and threads."
)
SWITCHES = {"True": True, "true": True, "False": False, "false": False}


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    summary = "train a model, evaluate it, save a checkpoint"
    add_run_arguments(add_command(commands, "run", summary, DESCRIPTION, EPILOG))


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of RecBole's own run_recbole.py, and a few more."""
    parser.add_argument("--model", "-m", help="any RecBole model, or module:Class of your own (default: LongInterest)")
    parser.add_argument("--dataset", "-d", help="name of the data set (default: ml-100k)")
    add_config_files(parser)
    parser.add_argument(
        "--resume",
        metavar="CHECKPOINT",
        help="go on with the run of this checkpoint, with its settings; True finds the last run of these settings",
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but the results and errors")
    parser.add_argument("--log_file", metavar="FILE", help="add the log to this file, too")


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Train and evaluate.

    Args:
        args: of :func:`add_run_arguments`.
        settings: further arguments, ``--key=value`` each.

    Returns:
        The results as a table.
    """
    settings = settings_of(args, settings)
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
        result = processes.run(config, arguments, settings) if processes.several(config) else pipeline.run(config)
    return _table(config["model"], config["dataset"], result)


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
