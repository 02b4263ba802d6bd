"""The command `recbole-li compare`: compare models on the same rows with several seeds."""

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
        "compare models with several seeds",
        "Compare RecBole's models, sequential and general, on the same rows: several seeds, both protocols, slices and "
        "significance tests. The settings of a model come from properties/tuned/<Model>/<dataset>.yaml if that file "
        "exists, else from the model's defaults. The seen-masked table uses <dataset>.seen-masked.yaml if it exists. "
        "GRU4Rec, GRU4RecF, SASRec, SASRecF and FDSA train in one pass unless you give --one_pass=False.",
        "Every other setting is given as --key=value and applies to every run, for example --epochs=20. For another "
        "split, give --eval_args=\"{'split': {'RS': [0.8, 0.1, 0.1]}, 'group_by': 'user', 'order': 'TO', 'mode': "
        "'full'}\"; 'mode': 'uni100' or 'pop100' ranks sampled candidates. Run the same command again to continue a "
        "stopped comparison. Models, settings and data sets are checked before training starts. The exit code is 1 if "
        "a row could not run.",
        stopped="stopped; run the same command again to continue.",
    )
    parser.add_argument(
        "--models",
        "-m",
        default="LongInterest,GRU4Rec,SASRec",
        help=f"RecBole's sequential and general models, {', '.join(BASELINES)}, your own models as module:Class, "
        "MODEL@WINDOW, and Pop, Markov, SASRec+all, GRU4Rec+all, SASRec+text, 'GRU4Rec averaged', "
        "'SASRec averaged', LongInterest-ID, LongInterest+request, HSTU+request (default: %(default)s)",
    )
    parser.add_argument("--once", default="", metavar="MODELS", help="further models, run with the first seed only")
    parser.add_argument("--datasets", "-d", default="ml-100k", help="names of data sets (default: %(default)s)")
    parser.add_argument("--seeds", type=count, default=5, metavar="N", help="seeds per model (default: %(default)s)")
    parser.add_argument(
        "--ties",
        default=FILE,
        metavar="ORDERS",
        help="order of a user's events with equal times: file, random, or file,random for a table of each; random "
        "averages three orders (default: %(default)s)",
    )
    parser.add_argument(
        "--split",
        default=LEAVE_ONE_OUT,
        metavar="SPLITS",
        help="leave-one-out (or the split of --eval_args), time, or leave-one-out,time for a table of each; with time, "
        "--split_by_time=[0.8,0.9] sets the ends of the training and validation periods (default: %(default)s)",
    )
    parser.add_argument(
        "--first-seed", type=int, default=SEED, metavar="SEED", help="lowest of the seeds (default: %(default)s)"
    )
    parser.add_argument(
        "--ablations",
        nargs="?",
        const="all",
        default="",
        metavar="NAMES",
        help="add all ablations of LongInterest and its control rows; or only some, as 'without text,window 50'",
    )
    parser.add_argument(
        "--rows",
        type=Path,
        metavar="FILE",
        help="add rows with settings of your own, from a yaml file with lines like 'NAME: {model: LongInterest, "
        "text_vectors: tfidf.npy}'; the tuned settings of the model apply, too",
    )
    parser.add_argument(
        "--tuned-on",
        default="",
        metavar="DATASET",
        help="use the settings tuned on this data set for all rows, for example on new data without a search",
    )
    parser.add_argument(
        "--subject",
        default="LongInterest",
        metavar="ROW",
        help="row that the verdict is about, such as a model of your own; the others may be the best baseline "
        "(default: %(default)s)",
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
        help="runs at a time, each in its own process; with one thread each if N > 1 (default: 1; with --ray as many "
        "as fit)",
    )
    parser.add_argument("--ray", action="store_true", help="run on Ray, on this machine or on a cluster (--address)")
    add_cluster(parser)
    parser.add_argument(
        "--lists",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a row for another system: its top-k lists or scores for the test users of the same split, in a CSV, TSV, "
        "Parquet or JSON lines file with the columns user, item, and rank or score; NAME@DATASET=FILE for one of "
        "several data sets, NAME@random-N=FILE for the split with ties in random order N (0 to 2); may be repeated",
    )
    parser.add_argument(
        "--lists-columns",
        metavar="COLUMNS",
        default="",
        help="names of the columns in these files, as user=who,item=what,score=value",
    )
    parser.add_argument(
        "--export-split",
        type=Path,
        metavar="DIR",
        help="write the split of the data sets to a folder, as CSV, Parquet and RecBole's benchmark files with a "
        "README; models are compared only if --output is given, too",
    )
    add_long_work(parser, output_required=False)


def run(args: argparse.Namespace, settings: Sequence[str]) -> str:
    """Compare models.

    Args:
        args: parsed arguments, see :func:`add_arguments`.
        settings: settings of every run, each as ``--key=value``.

    Returns:
        The summary, or the folder of the split.

    Raises:
        StoppedEarly: after Ctrl-C, with the summary so far.
        ProblemsFound: if rows could not run, with the summary of the others.
        LongInterestError: if both ``--output`` and ``--export-split`` are missing, and for the reasons of
            :func:`~recbole_longinterest.experiments.comparison.compare.compare`.
    """
    settings = settings_of(args, settings)
    refuse_without_ray(args, ("address", "cpus_per_worker", "gpus_per_worker"))
    allow_own_models([*_names(args.models), *_names(args.once)])
    if args.export_split is not None:
        if (args.ties, args.split) != (FILE, LEAVE_ONE_OUT):
            raise LongInterestError(
                "--export-split writes one split, chosen by settings: give --split_by_time=[0.8,0.9] instead of "
                "--split, and --tie_order=random --tie_seed=0 instead of --ties."
            )
        from recbole_longinterest.experiments.comparison.export_split import export_split  # saves start-up time

        export_split(_names(args.datasets), args.export_split, config_files=config_files_of(args), settings=settings)
        if args.output is None:
            return f"The split is in {args.export_split}; its README.md describes every file."
    elif args.output is None:
        raise LongInterestError("compare needs --output DIR, the folder for all results.")
    from recbole_longinterest.experiments.comparison.compare import compare  # saves start-up time: torch, RecBole

    on_ray = None
    if args.ray:
        from recbole_longinterest.common.packages import require_ray

        require_ray("recbole-li compare --ray")
        from recbole_longinterest.experiments.comparison.cluster import OnRay  # saves start-up time: ray

        cpus = 1 if args.cpus_per_worker is None else args.cpus_per_worker
        on_ray = OnRay(args.address, cpus, args.gpus_per_worker or 0)
    ablations = _names(args.ablations)
    own_rows = {}
    if args.rows is not None:
        # saves start-up time: torch, RecBole
        from recbole_longinterest.experiments.comparison.own_rows import read_rows

        own_rows = read_rows(args.rows)
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
        own_rows=own_rows,
        tuned_on=args.tuned_on,
        subject=args.subject,
        show_progress=not args.quiet,
    )
    summary = (args.output / "summary.md").read_text(encoding="utf-8")
    if outcome.interrupted:
        raise StoppedEarly(summary)
    if outcome.failed:
        raise ProblemsFound(summary, "\n  ".join([f"{len(outcome.failed)} rows could not run:", *outcome.failed]))
    return summary


def _pairs(option: str, texts: Sequence[str], form: str) -> dict[str, str]:
    """Parse texts of the form ``name=value``.

    Raises:
        LongInterestError: if a text has another form, or a name is given twice.
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
