"""Compare models with seeds, from Python or as `recbole-li compare`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.experiments.comparison import paper_table
from recbole_longinterest.experiments.comparison.cell import FINISHED
from recbole_longinterest.experiments.comparison.driver import Outcome, run_plan
from recbole_longinterest.experiments.comparison.plan import Plan, all_ablations, read_settings, with_absolute_paths
from recbole_longinterest.experiments.comparison.report import write_report
from recbole_longinterest.experiments.comparison.variants import OWN, check_tuned_on
from recbole_longinterest.experiments.comparison.views import read_views
from recbole_longinterest.plugin.own_models import model_name

if TYPE_CHECKING:
    from recbole_longinterest.experiments.comparison.cluster import OnRay


def compare(
    models: Sequence[str] = ("LongInterest", "GRU4Rec", "SASRec"),
    datasets: Sequence[str] = ("ml-100k",),
    *,
    output: str | Path,
    seeds: Sequence[int] = range(2020, 2025),
    once: Sequence[str] = (),
    ablations: Sequence[str] | Literal["all"] = (),
    config_files: Sequence[str | Path] = (),
    settings: Mapping[str, object] | Sequence[str] = (),
    table_columns: Sequence[str] = paper_table.DEFAULT,
    jobs: int | None = None,
    on_ray: "OnRay | None" = None,
    lists: Mapping[str, str | Path] | None = None,
    lists_columns: Mapping[str, str] | None = None,
    ties: Sequence[str] = ("file",),
    splits: Sequence[str] = ("leave-one-out",),
    own_rows: Mapping[str, Mapping[str, object]] | None = None,
    tuned_on: str = "",
    subject: str = OWN,
    show_progress: bool = True,
) -> Outcome:
    """Compare models on the same rows of the same data sets, with several seeds, and write a report.

    Runs that are already finished in ``output`` are reused.

    Example:
        >>> outcome = compare(["LongInterest", "SASRec"], output="comparison", settings={"epochs": 20})
        >>> [(cell.name, cell.seed, cell.result()) for cell in outcome.cells]

    Args:
        models: RecBole's sequential and general models, the plugin's (docs/baselines.md), ``module:Class`` of your own,
            ``MODEL@WINDOW``, and the rows that docs/compare.md names, such as ``"Pop"`` or ``"SASRec+text"``.
        datasets: names of data sets.
        output: folder of all results: ``summary.md``, ``summary.html``, ``results.csv``, ``table.tex`` and plots.
        seeds: seeds of every model.
        once: further models, which run only with the first seed.
        ablations: ablations of LongInterest, or ``"all"``, which adds the rows needed for a fair comparison.
        config_files: yaml files with settings of every run; later files override earlier ones.
        settings: settings of every run, which override the files: a mapping, or ``--key=value`` texts as on the command
            line. At least one model must have each of them.
        table_columns: columns of ``table.tex`` in each protocol: metric, interval, recall, mrr, difference, range (the
            interval of the difference), p, seeds.
        jobs: number of parallel runs, each in its own process; one if None. With more than one, each has one thread.
        on_ray: spread the runs over a Ray cluster, see
            :class:`~recbole_longinterest.experiments.comparison.cluster.OnRay`; ``jobs`` is then as many as fit if
            None.
        lists: top-k lists or scores that another system made for the test users of the same split (see
            :func:`~recbole_longinterest.experiments.comparison.export_split.export_split`), as ``NAME`` -> file, or
            ``NAME@DATASET`` -> file, with ``@random-N`` after either for the split with ties in random order N. CSV,
            TSV, Parquet or JSON lines with the columns user, item, and rank or score.
        lists_columns: names of the columns ``user``, ``item``, ``rank`` and ``score`` in these files.
        ties: orders of a user's events at the same time, ``"file"`` and ``"random"``. Each has its own table. In random
            order, run i of a row has the tie seed i modulo 3, and a row has at least three runs.
        splits: ``"leave-one-out"``, or the split of ``eval_args`` in ``settings``, and ``"time"``: a split by global
            time, at ``split_by_time`` in ``settings`` or after 80 % and 90 % of the events. Each has its own table.
        own_rows: rows with settings of your own, as name -> settings, with the model as ``model`` (LongInterest by
            default). They override the tuned settings of the model.
        tuned_on: data set whose tuned settings all rows have, instead of those of the compared data set; for new data
            without a search.
        subject: row that the verdict is about, such as a model of your own, by its name or as in ``models``; all other
            rows but ablations may then be the best baseline.
        show_progress: whether to show a progress bar.

    Returns:
        All runs. After Ctrl-C it is marked as interrupted; ``failed`` lists rows that could not run.

    Raises:
        LongInterestError: before training, if models, settings, data sets or the folder cannot be used, or models would
            read different data; after it, if every model failed.
    """
    output = Path(output)
    paper_table.check_columns(table_columns)
    if jobs is not None and jobs < 1:
        raise LongInterestError(f"jobs must be a whole number of at least 1; got {jobs}.")
    given = read_settings([str(file) for file in config_files], settings)
    if tuned_on:
        check_tuned_on(tuned_on)
    rows = list(models)
    if ablations == "all":
        ablations, further = all_ablations(rows)
        rows += [name for name in further if name not in rows]
    plan = Plan(
        models=rows,
        datasets=list(datasets),
        seeds=list(seeds),
        once=list(once),
        ablations=list(ablations),
        given=given,
        lists={name: str(file) for name, file in (lists or {}).items()},
        lists_columns=dict(lists_columns or {}),
        ties=list(ties),
        splits=list(splits),
        own_rows={
            name: with_absolute_paths(row) if isinstance(row, Mapping) else row
            for name, row in (own_rows or {}).items()
        },
        tuned_on=tuned_on,
        subject=model_name(subject) if subject in (*rows, *once) else subject,
    )
    if not (plan.models or plan.lists or plan.own_rows) or not plan.datasets:
        raise LongInterestError("compare needs at least one model and one data set.")
    read_views(plan.ties, plan.splits, given)
    names = [*(variant.name for variant, _ in plan.rows()), *(name.partition("@")[0] for name in plan.lists)]
    if plan.subject not in (OWN, *names):
        raise LongInterestError(f"subject must be a row of the comparison ({', '.join(names)}); got {subject!r}.")
    outcome = run_plan(plan, output, show_progress=show_progress, jobs=jobs, on_ray=on_ray)
    write_report(outcome, output, table_columns)
    ends = [result for cell in outcome.cells if (result := cell.result()) is not None]
    if ends and not outcome.interrupted and all(result["status"] != FINISHED for result in ends):
        raise LongInterestError(f"None of the models could run on these data; the first: {ends[0]['error']}")
    return outcome
