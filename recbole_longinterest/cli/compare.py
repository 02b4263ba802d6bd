"""The command `recbole-li compare`: compare models on the same rows, with seeds."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from recbole_longinterest.cli.arguments import (
    Commands,
    add_cluster,
    add_command,
    add_long_work,
    allow_own_models,
    config_files_of,
    count,
    refuse_without_ray,
    settings_of,
)
from recbole_longinterest.cli.outcome import ProblemsFound, StoppedEarly
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.plugin.models import BASELINES

SEED = 2020
COLUMNS = "metric,interval,recall,difference"
FILE, LEAVE_ONE_OUT = "file", "leave-one-out"


def add_arguments(commands: Commands) -> None:
    """Add the command to the parser of `recbole-li`."""
    parser = add_command(
        commands,
        "compare",
        "compare models with seeds",
        "Compare RecBole's models, sequential and general, on the same rows: seeds, both protocols, slices, "
        "significance. The settings of a model are properties/tuned/<Model>/<dataset>.yaml, else its own defaults (for "
        "the seen-masked table <dataset>.seen-masked.yaml, if there is one); "
        "GRU4Rec, GRU4RecF, SASRec, SASRecF and FDSA learn in one pass unless --one_pass=False.",
        "Every other setting is given as --key=value and goes to every run, as --epochs=20 or --eval_args=\"{'split': "
        "{'RS': [0.8, 0.1, 0.1]}, 'group_by': 'user', 'order': 'TO', 'mode': 'full'}\" for another split, and 'mode': "
        "'uni100' or 'pop100' for sampled candidates. The same command goes on where it was stopped. Models, settings "
        "and data sets are checked before anything is trained; the exit code is 1 if a row could not run.",
        stopped="stopped; the same command goes on from there.",
    )
    parser.add_argument(
        "--models",
        "-m",
        default="LongInterest,GRU4Rec,SASRec",
        help=f"RecBole's sequential and general models, {', '.join(BASELINES)}, module:Class of your own, "
        "MODEL@WINDOW, and Pop, Markov, SASRec+all, GRU4Rec+all, SASRec+text, 'GRU4Rec averaged', "
        "'SASRec averaged', LongInterest-ID, LongInterest+request, HSTU+request (default: %(default)s)",
    )
    parser.add_argument("--once", default="", metavar="MODELS", help="further models, with the first seed alone")
    parser.add_argument("--datasets", "-d", default="ml-100k", help="names of data sets (default: %(default)s)")
    parser.add_argument("--seeds", type=count, default=5, metavar="N", help="seeds a model (default: %(default)s)")
    parser.add_argument(
        "--ties",
        default=FILE,
        metavar="ORDERS",
        help="order of a user's events at one time: file, random, or file,random for a table of each; in random order "
        "three orders are averaged (default: %(default)s)",
    )
    parser.add_argument(
        "--split",
        default=LEAVE_ONE_OUT,
        metavar="SPLITS",
        help="leave-one-out (or what --eval_args says), time, or leave-one-out,time for a table of each; by time, "
        "models train before, validate until and test from --split_by_time=[0.8,0.9] on (default: %(default)s)",
    )
    parser.add_argument("--first-seed", type=int, default=SEED, metavar="SEED", help="(default: %(default)s)")
    parser.add_argument(
        "--ablations",
        nargs="?",
        const="all",
        default="",
        metavar="NAMES",
        help="all ablations of LongInterest, and rows that keep a win honest; or some, as 'without text,window 50'",
    )
    parser.add_argument(
        "--table-columns",
        default=COLUMNS,
        metavar="NAMES",
        help="columns of table.tex: metric, interval, recall, mrr, difference, range, p, seeds (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs",
        type=count,
        metavar="N",
        help="runs at a time, each in a process of its own, with one thread if N > 1 (default: 1; with --ray as many "
        "as fit)",
    )
    parser.add_argument("--ray", action="store_true", help="spread the runs over Ray, here or on a cluster (--address)")
    add_cluster(parser)
    parser.add_argument(
        "--lists",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a further row: top-k lists or scores of another system for the test users of the same split, a CSV, TSV, "
        "Parquet or JSON lines file with the columns user, item, and rank or score; NAME@DATASET=FILE with several "
        "data sets, NAME@random-N=FILE for the split with ties in random order N (0 to 2); may be repeated",
    )
    parser.add_argument(
        "--lists-columns",
        metavar="COLUMNS",
        default="",
        help="these files' own names of the columns, as user=who,item=what,score=value",
    )
    parser.add_argument(
        "--export-split",
        type=Path,
        metavar="DIR",
        help="write the split of the data sets to a folder, as CSV, Parquet and RecBole's benchmark files with a "
        "README; nothing is compared unless there is an --output too",
    )
    add_long_work(parser, output_required=False)


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Compare models.

    Args:
        args: of :func:`add_arguments`.
        settings: settings of every run, ``--key=value`` each.

    Returns:
        The summary, or where the split is.

    Raises:
        StoppedEarly: after Ctrl-C, with the summary so far.
        ProblemsFound: if rows could not run, with the summary of the others.
        LongInterestError: without ``--output`` and ``--export-split``, and as
            :func:`~recbole_longinterest.experiments.comparison.compare.compare`.
    """
    settings = settings_of(args, settings)
    refuse_without_ray(args, ("address", "cpus_per_worker", "gpus_per_worker"))
    allow_own_models([*_names(args.models), *_names(args.once)])
    if args.export_split is not None:
        if (args.ties, args.split) != (FILE, LEAVE_ONE_OUT):
            raise LongInterestError(
                "--export-split writes one split, which settings choose: give --split_by_time=[0.8,0.9] in place of "
                "--split, and --tie_order=random --tie_seed=0 in place of --ties."
            )
        from recbole_longinterest.experiments.comparison.export_split import export_split  # saves start-up time

        export_split(_names(args.datasets), args.export_split, config_files=config_files_of(args), settings=settings)
        if args.output is None:
            return f"The split is in {args.export_split}; README.md there says what every file is."
    elif args.output is None:
        raise LongInterestError("compare needs --output DIR, the folder of all results.")
    from recbole_longinterest.experiments.comparison.compare import compare  # saves start-up time: torch, RecBole

    on_ray = None
    if args.ray:
        from recbole_longinterest.common.packages import require_ray

        require_ray("recbole-li compare --ray")
        from recbole_longinterest.experiments.comparison.cluster import OnRay  # saves start-up time: ray

        cpus = 1 if args.cpus_per_worker is None else args.cpus_per_worker
        on_ray = OnRay(args.address, cpus, args.gpus_per_worker or 0)
    ablations = _names(args.ablations)
    outcome = compare(
        _names(args.models),
        _names(args.datasets),
        output=args.output,
        seeds=range(args.first_seed, args.first_seed + args.seeds),
        once=_names(args.once),
        ablations="all" if ablations == ["all"] else ablations,
        jobs=args.jobs,
        on_ray=on_ray,
        table_columns=_names(args.table_columns),
        config_files=config_files_of(args),
        settings=settings,
        lists=_pairs("--lists", args.lists, "NAME=FILE"),
        lists_columns=_pairs("--lists-columns", _names(args.lists_columns), "user=COLUMN"),
        ties=_names(args.ties),
        splits=_names(args.split),
        show_progress=not args.quiet,
    )
    summary = (args.output / "summary.md").read_text(encoding="utf-8")
    if outcome.interrupted:
        raise StoppedEarly(summary)
    if outcome.failed:
        raise ProblemsFound(summary, "\n  ".join([f"{len(outcome.failed)} rows could not run:", *outcome.failed]))
    return summary


def _pairs(option: str, texts: Sequence[str], form: str) -> dict[str, str]:
    """Texts of the form ``name=value``.

    Raises:
        LongInterestError: for a text of another form, and a name that is given twice.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value) or name in pairs:
            raise LongInterestError(f"{option} must be {form}, each name once; got {text!r}.")
        pairs[name] = value
    return pairs


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
