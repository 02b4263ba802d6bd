"""The console command `recbole-li`: thin over the modules; everything it prints to the terminal is printed here."""

import argparse
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

import recbole_longinterest
from recbole_longinterest.cli import compare as compare
from recbole_longinterest.cli import prepare as prepare
from recbole_longinterest.cli import serving, updates
from recbole_longinterest.cli import tune as tune
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.resources import resource
from recbole_longinterest.plugin.fixes import environment
from recbole_longinterest.training import encode, pipeline, processes
from recbole_longinterest.training.settings import make_config

RUN_DESCRIPTION = "Train a RecBole model, evaluate it by full ranking, save a checkpoint."
RUN_EPILOG = (
    "Every other setting is given as --key=value, for example --epochs=20 --learning_rate=0.001 --text_features=off; "
    f"{resource('properties', 'LongInterest.yaml')} says what there is; "
    "--nproc=N and --num_threads=N set processes and threads."
)
SWITCHES = {"True": True, "true": True, "False": False, "false": False}
SETTING = re.compile(r"--[A-Za-z_]\w*=.*", re.DOTALL)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `recbole-li`.

    Args:
        argv: arguments after the program's name; the process's own if None.

    Returns:
        Exit code: 0; 2 for a wrong argument, file or setting; 1 for a process of several that died; 130 if interrupted.
    """
    parser = argparse.ArgumentParser(prog="recbole-li", description="LongInterest for RecBole.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {recbole_longinterest.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    summary = "train a model, evaluate it, save a checkpoint"
    _add_run_arguments(
        commands.add_parser("run", help=summary, description=RUN_DESCRIPTION, epilog=RUN_EPILOG, allow_abbrev=False)
    )
    _add_encode_arguments(commands)
    prepare.add_arguments(commands)
    tune.add_arguments(commands)
    compare.add_arguments(commands)
    serving.add_arguments(commands)
    updates.add_arguments(commands)
    args, settings = parser.parse_known_args(argv)
    if hasattr(args, "serve"):
        return _told(lambda: serving.serve(args, settings), "stopped.")
    if hasattr(args, "update"):
        return _told(lambda: args.update(args, settings), "stopped; the same command goes on from there.")
    return COMMANDS[args.command](args, settings + _data_path(args))


def run_script(argv: Sequence[str] | None = None) -> int:
    """What `run_recbole_li.py` does: `recbole-li run` without the word `run`; see :func:`main`."""
    parser = argparse.ArgumentParser(
        prog="run_recbole_li.py", description=RUN_DESCRIPTION, epilog=RUN_EPILOG, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {recbole_longinterest.__version__}")
    _add_run_arguments(parser)
    args, settings = parser.parse_known_args(argv)
    return run_command(args, settings + _data_path(args))


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of RecBole's own run_recbole.py."""
    parser.add_argument("--model", "-m", help="any RecBole model (default: LongInterest)")
    parser.add_argument("--dataset", "-d", help="name of the data set (default: ml-100k)")
    parser.add_argument("--config_files", default="", help="yaml files, separated by spaces; later ones win")
    parser.add_argument(
        "--resume",
        metavar="CHECKPOINT",
        help="go on with the run of this checkpoint, with its settings; True finds the last run of these settings",
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but the results and errors")
    parser.add_argument("--log_file", metavar="FILE", help="add the log to this file, too")
    parser.add_argument("--data_path", metavar="DIR", help="folder above the data set's")


def run_command(args: argparse.Namespace, settings: Sequence[str]) -> int:
    """Train and evaluate as the arguments say; results and errors go to the terminal.

    Args:
        args: model, dataset and config_files.
        settings: further arguments, `--key=value` each.

    Returns:
        Exit code.
    """
    return _told(lambda: _run(args, settings), "stopped.")


def _run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    _check_settings(settings)
    with environment.command_line(settings):
        given = {"resume": SWITCHES.get(args.resume, args.resume)}
        if args.quiet:
            given |= {"quiet": True, "show_progress": False}
        if args.log_file:
            given["log_file"] = str(Path(args.log_file).resolve())
        arguments = args.model, args.dataset, args.config_files.split(), given
        config = make_config(*arguments)
        result = processes.run(config, arguments, settings) if processes.several(config) else pipeline.run(config)
    return _report(config["model"], config["dataset"], result)


def _told(work: Callable[[], str], stopped: str) -> int:
    """Do a command's work and print what it says; an error is one sentence and an exit code, see :func:`main`."""
    try:
        said = work()
    except (ValueError, NotImplementedError) as error:  # RecBole raises the latter for a setting that it does not know
        getLogger().debug("where it happened", exc_info=True)  # shown by --state=DEBUG
        sys.stderr.write(f"recbole-li: error: {error}\n")
        return 2
    except OSError as error:  # a folder that cannot be written, a full disk
        getLogger().debug("where it happened", exc_info=True)
        named = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"recbole-li: error: {named}{error.strerror or error}\n")
        return 2
    except processes.ProcessError as error:
        sys.stderr.write(f"recbole-li: error: {error}\n")
        return 1
    except KeyboardInterrupt as interrupt:
        sys.stderr.write(f"recbole-li: {str(interrupt) or stopped}\n")
        return 130
    except Exception as error:  # RecBole's, of a setting or of data that it does not check
        getLogger().debug("where it happened", exc_info=True)
        place = traceback.extract_tb(error.__traceback__)[-1]
        said = " ".join(str(error).split())
        sys.stderr.write(
            f"recbole-li: error: {type(error).__name__}: {said} (in {Path(place.filename).name}, line {place.lineno}; "
            "--state=DEBUG shows more)\n"
        )
        return 2
    sys.stdout.write(said)
    return 0


def _whole_or_stopped(
    run: Callable[[argparse.Namespace, Sequence[str]], tuple[str, bool]],
    args: argparse.Namespace,
    settings: Sequence[str],
) -> str:
    """The summary of long work; that of work which was stopped is printed before the command ends as interrupted."""
    _check_settings(settings)
    summary, interrupted = run(args, settings)
    if interrupted:
        sys.stdout.write(summary)
        raise KeyboardInterrupt
    return summary


def _check_settings(settings: Sequence[str]) -> None:
    for setting in settings:
        if not SETTING.fullmatch(setting):
            raise LongInterestError(f"{setting} is not a setting; write --key=value, without spaces around '='.")


def _data_path(args: argparse.Namespace) -> list[str]:
    """The one setting that may follow after a space, as a setting; `prepare` says the command so."""
    data_path = getattr(args, "data_path", None)  # prepare has none
    return [f"--data_path={data_path}"] if data_path else []


def _report(model: str, dataset: str, result: pipeline.Run) -> str:
    """The results as a table."""
    valid, test = result.best_valid_result or {}, result.test_result or {}
    width = max(map(len, ["metric", *(test or valid)]))
    lines = [f"{model} on {dataset}", f"{'metric':{width}}  {'validation':>10}  {'test':>10}"]
    if not test and not valid:
        lines[1] = "the split has no rows to validate or test on"
    for metric in test or valid:
        values = (f"{part[metric]:10.4f}" if metric in part else f"{'-':>10}" for part in (valid, test))
        lines.append(f"{metric:{width}}  {'  '.join(values)}")
    if result.checkpoint:
        lines.append(f"checkpoint: {result.checkpoint}")
    return "\n".join(lines) + "\n"


def _add_encode_arguments(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    parser = commands.add_parser(
        "encode",
        help="encode the items' texts ahead of a run",
        description="Encode the texts of a data set's .item file into the cache, where every later run finds them. "
        "Ctrl-C keeps what is done; the same command goes on from there.",
        epilog="Every other setting is given as --key=value, as with run.",
        allow_abbrev=False,
    )
    parser.add_argument("--dataset", "-d", help="name of the data set (default: ml-100k)")
    parser.add_argument("--encoder", "-e", help="text_encoder: minilm, a model folder or a hub name")
    parser.add_argument("--ray", action="store_true", help="let all cores and GPUs of a Ray cluster encode")
    parser.add_argument("--address", metavar="RAY", help="that cluster, as 'auto' or host:port (default: a local Ray)")
    parser.add_argument("--config_files", default="", help="yaml files, separated by spaces; later ones win")
    parser.add_argument("--data_path", metavar="DIR", help="folder above the data set's")


def encode_command(args: argparse.Namespace, settings: Sequence[str]) -> int:
    """Fill the text cache as the arguments say; the outcome and errors go to the terminal.

    Args:
        args: dataset, encoder and config_files.
        settings: further arguments, `--key=value` each.

    Returns:
        Exit code.
    """
    return _told(
        lambda: _encode(args, settings), "stopped; what is encoded is kept, and the same command goes on from there."
    )


def _encode(args: argparse.Namespace, settings: Sequence[str]) -> str:
    chosen = {"text_encoder": args.encoder} if args.encoder else {}
    _check_settings(settings)
    with environment.command_line(settings):
        config = make_config("LongInterest", args.dataset, args.config_files.split(), chosen)
    done = tune.encode_with_ray(config, args.address) if args.ray else encode.encode_items(config)
    new = done.filled.distinct - done.filled.known
    return (
        f"{done.items} items with text ({done.filled.distinct} distinct): {done.filled.known} were in the cache, "
        f"{new} encoded in {done.seconds:.1f} s.\ncache: {done.filled.folder}\n"
    )


def tune_command(args: argparse.Namespace, settings: Sequence[str]) -> int:
    """Search settings as the arguments say; the summary and errors go to the terminal.

    Args:
        args: see :mod:`recbole_longinterest.cli.tune`.
        settings: further arguments, `--key=value` each.

    Returns:
        Exit code.
    """
    return _told(
        lambda: _whole_or_stopped(tune.run, args, settings),
        "stopped; the same command with --resume goes on from there.",
    )


def compare_command(args: argparse.Namespace, settings: Sequence[str]) -> int:
    """Compare models as the arguments say; the summary and errors go to the terminal.

    Args:
        args: see :mod:`recbole_longinterest.cli.compare`.
        settings: further arguments, `--key=value` each.

    Returns:
        Exit code.
    """
    return _told(
        lambda: _whole_or_stopped(compare.run, args, settings), "stopped; the same command goes on from there."
    )


def prepare_command(args: argparse.Namespace, settings: Sequence[str]) -> int:
    """Turn raw files into atomic files as the arguments say; the report and errors go to the terminal.

    Args:
        args: see :mod:`recbole_longinterest.cli.prepare`.
        settings: what is left of the command line.

    Returns:
        Exit code.
    """
    return _told(lambda: prepare.run(args, settings), "stopped; nothing is written.")


COMMANDS = {
    "run": run_command,
    "encode": encode_command,
    "prepare": prepare_command,
    "tune": tune_command,
    "compare": compare_command,
}
