"""The command `recbole-li recommend`: recommend items to the users of a file of events."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from recbole_longinterest.cli.arguments import Commands, add_command, refuse_settings
from recbole_longinterest.cli.histories import add_at, add_model_and_history, columns_in, events_of, write
from recbole_longinterest.cli.outcome import Exact
from recbole_longinterest.cli.partitions import add_partitions, refuse_without_input, run_partitions
from recbole_longinterest.common.errors import LongInterestError


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands,
        "recommend",
        "recommend items to the users of a file of events",
        "Recommend items to the users of a file of events (--history), or of Parquet files of any size (--input).",
    )
    add_model_and_history(parser, history="optional")
    add_partitions(parser)
    add_at(parser)
    parser.add_argument("--topk", "-k", type=int, default=10, metavar="K", help="items per user (default: 10)")
    parser.add_argument(
        "--output",
        "-o",
        metavar="FILE",
        help="file for the results (default: print them); with --input a folder or URL",
    )
    parser.add_argument(
        "--format", choices=("csv", "jsonl"), help="default: jsonl if --output ends in .jsonl, else csv"
    )
    parser.add_argument(
        "--raw", action="store_true", help="for CSV: do not escape formulas and control characters in texts"
    )
    parser.add_argument(
        "--exclude-seen",
        default="target",
        metavar="WHICH",
        help="items of the history that are not recommended: target (items with events of target_behavior, or all for "
        "a model without it; the default), all, none, or items with events of these behaviours: view,cart",
    )
    parser.add_argument(
        "--include_seen", dest="exclude_seen", action="store_const", const="none", help="same as --exclude-seen none"
    )
    parser.add_argument("--exclude", metavar="FILE", help="never recommend these items: one id per line")
    parser.add_argument(
        "--index",
        action="store_true",
        help="with --input: look up candidates in the model's index (export --index) instead of scoring every item",
    )
    parser.add_argument("--candidates", metavar="FILE", help="recommend only these items: one id per line")


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Recommend items.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: must be empty.

    Returns:
        The recommendations, or the place they were written to.
    """
    refuse_settings("recommend", settings)
    if (args.history is None) == (args.input is None):
        raise LongInterestError("Give either --history, a file of events, or --input, Parquet files of events.")
    if args.input is not None:
        return _in_partitions(args)
    refuse_without_input(args)
    # saves start-up time: these import torch and pandas
    from recbole_longinterest.serving.recommender import Recommender
    from recbole_longinterest.serving.result_files import to_csv, to_json_lines
    from recbole_longinterest.serving.results import report_skipped

    model = Recommender.load(args.model, args.engine)
    events = events_of(args, model)
    candidates = _lines(args.candidates) if args.candidates else None
    kind = args.format or ("jsonl" if args.output and args.output.endswith(".jsonl") else "csv")
    options = {
        "k": args.topk,
        "exclude_seen": args.exclude_seen,
        "candidates": candidates,
        "exclude": _lines(args.exclude) if args.exclude else (),
        "at": args.at,
    }
    if kind == "csv":
        text = to_csv(model.recommend_batch(events, **options), raw=args.raw)
    else:
        found = model.recommend_histories(model.read_table(events), **options)
        report_skipped(found)
        text = to_json_lines(found)
    return write(args.output, text) if args.output else Exact(text)


def _in_partitions(args: argparse.Namespace) -> str:
    if args.output is None:
        raise LongInterestError("--input needs --output, the folder or URL of the results.")
    if args.format or args.raw:
        raise LongInterestError("With --input the results are Parquet files. Leave --format and --raw out.")
    from recbole_longinterest.serving.partitions import Batch  # saves start-up time: pandas, pyarrow

    batch = Batch(
        args.input,
        args.output,
        k=args.topk,
        exclude_seen=args.exclude_seen,
        candidates=_lines(args.candidates) if args.candidates else None,
        exclude=_lines(args.exclude) if args.exclude else (),
        at=args.at,
        columns=columns_in(args),
        time_format=args.time_format,
        index=args.index,
    )
    return run_partitions(args, batch)


def _lines(path: str) -> list[str]:
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise LongInterestError(f"{path} cannot be read: {error}") from error
    return [line.strip() for line in lines if line.strip()]
