"""The command `recbole-li compare`: its arguments, and what it prints."""

import argparse
from collections.abc import Sequence
from typing import Any

from recbole_longinterest.cli.arguments import add_long_work, count
from recbole_longinterest.common.errors import LongInterestError

DESCRIPTION = (
    "Compare RecBole's models, sequential and general, on the same rows: seeds, both protocols, slices, significance. "
    "The settings of a model are properties/tuned/<Model>/<dataset>.yaml, else its own defaults; GRU4Rec, GRU4RecF, "
    "SASRec, SASRecF and FDSA learn in one pass unless --one_pass=False."
)
EPILOG = (
    "Every other setting is given as --key=value and goes to every run, as --epochs=20 or --eval_args=\"{'split': "
    "{'TS': [0.8, 0.1, 0.1]}, 'order': 'TO', 'mode': 'full'}\" for a split by global time, and 'mode': 'uni100' or "
    "'pop100' for sampled candidates. The same command goes on where it was stopped."
)
SEED = 2020


def add_arguments(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Make the command known to the parser of `recbole-li`."""
    parser = commands.add_parser(
        "compare", help="compare models with seeds", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False
    )
    parser.add_argument(
        "--models",
        "-m",
        default="LongInterest,GRU4Rec,SASRec",
        help="RecBole's sequential and general models, MODEL@WINDOW, and Pop, Markov, SASRec+text, 'GRU4Rec averaged', "
        "'SASRec averaged', LongInterest-ID (default: %(default)s)",
    )
    parser.add_argument("--once", default="", metavar="MODELS", help="further models, with the first seed alone")
    parser.add_argument("--datasets", "-d", default="ml-100k", help="names of data sets (default: %(default)s)")
    parser.add_argument("--seeds", type=count, default=5, metavar="N", help="seeds a model (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=SEED, metavar="SEED", help="(default: %(default)s)")
    parser.add_argument(
        "--ablations",
        nargs="?",
        const="all",
        default="",
        metavar="NAMES",
        help="all ablations of LongInterest, and rows that keep a win honest; or some, as 'without text,window 50'",
    )
    add_long_work(parser)


def run(args: argparse.Namespace, settings: Sequence[str]) -> tuple[str, bool]:
    """Compare as the arguments say.

    Args:
        args: of :func:`add_arguments`.
        settings: further arguments, `--key=value` each.

    Returns:
        What is to be printed, and whether it was stopped before its end.

    Raises:
        ValueError: one sentence for what does not hold.
    """
    from recbole_longinterest.experiments.comparison.cells import FINISHED
    from recbole_longinterest.experiments.comparison.driver import Plan, all_ablations, compare, read_settings
    from recbole_longinterest.experiments.comparison.report import write_report

    given, named = read_settings(args.config_files.split(), settings)
    models, ablations = _names(args.models), _names(args.ablations)
    if ablations == ["all"]:
        ablations, rows = all_ablations(models)
        models += [name for name in rows if name not in models]
    plan = Plan(
        models=models,
        datasets=_names(args.datasets),
        seeds=list(range(args.first_seed, args.first_seed + args.seeds)),
        once=_names(args.once),
        ablations=ablations,
        given=given,
        named=named,
    )
    if not plan.models or not plan.datasets:
        raise LongInterestError("compare needs at least one model and one data set.")
    outcome = compare(plan, args.output, show_progress=not args.quiet)
    summary = write_report(outcome, args.output)
    ends = [result for cell in outcome.cells if (result := cell.result()) is not None]
    if ends and not outcome.interrupted and all(result["status"] != FINISHED for result in ends):
        raise LongInterestError(f"None of the models could run on these data; the first: {ends[0]['error']}")
    return summary, outcome.interrupted


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
