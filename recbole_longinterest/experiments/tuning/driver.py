"""Run a search: Ray Tune runs the trials of a plan, and the best trial is tested once."""

import functools
import itertools
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
import recbole.data.utils
from ray import tune
from recbole.config import Config

from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.files import make_folder
from recbole_longinterest.experiments.quiet import without_warnings
from recbole_longinterest.experiments.tuning import records
from recbole_longinterest.experiments.tuning.memory_kills import memory_kills_one_trial
from recbole_longinterest.experiments.tuning.plan import (
    PLAN,
    Plan,
    config_of,
    fixed_by_name,
    fixed_settings,
    keep_plan,
    own_config,
    settings_of,
)
from recbole_longinterest.experiments.tuning.protocol import PROTOCOLS, metric_name
from recbole_longinterest.experiments.tuning.space import Space, Suggest, read_space
from recbole_longinterest.experiments.tuning.time_budget import TimeBudget
from recbole_longinterest.experiments.tuning.trial import BEST, Task, dataset_key, run_trial
from recbole_longinterest.experiments.tuning.watch import Watch
from recbole_longinterest.plugin import own_models
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.plugin.ray_session import ray_session
from recbole_longinterest.plugin.runs.places import PLACES
from recbole_longinterest.plugin.runs.seen_masked import MASKED, NATIVE, MaskedPass, metric_of, watching_batches

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler
    from ray.tune.search.optuna import OptunaSearch

RAY_FOLDER = "ray"  # folder of Ray's own files, removed at the end of a search
MOST_DATASETS = 16  # data sets built in advance; trials build others themselves


@dataclass(frozen=True)
class Outcome:
    """The outcome of a search.

    Attributes:
        plan: the plan of the search.
        metric: name of the validation metric that trials are compared by.
        trials: all trials, the best first.
        test_result: test metrics of the best trial's best epoch; None if not tested yet.
        valid_result: validation metrics of the best trial's best epoch.
        interrupted: whether it was stopped with trials left to run.
        time_budget: the time budget in seconds, if it ended the search with trials left to run; otherwise None.
    """

    plan: Plan
    metric: str
    trials: Sequence[records.Trial]
    test_result: dict[str, float] | None
    valid_result: dict[str, float] | None
    interrupted: bool
    time_budget: float | None = None


def search(
    plan: Plan,
    output: Path,
    resume: bool = False,
    address: str | None = None,
    time_budget: float | None = None,
    show_progress: bool = True,
) -> Outcome:
    """Run a search, or resume it.

    Args:
        plan: the plan.
        output: folder of all files; on a cluster, all nodes must share it.
        resume: whether to resume the search in ``output``, which must have the same plan.
        address: Ray cluster to use; None starts a local one without dashboard during the search.
        time_budget: seconds from this call, including the loading of data, after which all trials stop.
        show_progress: whether to show a progress bar.

    Returns:
        The outcome, marked as interrupted after Ctrl-C.

    Raises:
        ValueError: if the plan cannot run, or ``output`` cannot be used to start or resume it.
    """
    budget = TimeBudget(time_budget)
    output = output.resolve()
    space = read_space(Path(plan.space))
    config = config_of(plan, space)
    metric = metric_name(plan.protocol, config)
    settings = settings_of(plan, space, config)
    make_folder(output)
    with lock_files(output / PLAN, "searching in", "give another --output"):
        keep_plan(plan, output, resume)
        fixed = fixed_settings(plan, config)
        try:
            with ray_session(address):
                folder = own_models.folder_of(plan.model)
                task = Task(plan.model, config["dataset"], fixed, output, {}, folder, plan.protocol)
                with without_warnings():
                    task.datasets.update(_share_datasets(task, space))
                total = (plan.trials or 1) if settings is None else len(settings)
                watch = Watch(output, config["valid_metric_bigger"], metric, total, show_progress)
                left = _run(plan, space, settings, task, config, watch, budget)
        except KeyboardInterrupt:
            left, interrupted = True, True
        else:
            interrupted = left and not budget.over

    trials = records.read_trials(output, config["valid_metric_bigger"], PROTOCOLS[plan.protocol])
    best = trials[0] if trials and trials[0].checkpoint and trials[0].status != records.ERROR else None
    ended_by = time_budget if left and not interrupted else None
    tested = None if interrupted or best is None else _test(best, fixed)
    return Outcome(plan, metric, trials, tested, best.best if best else None, interrupted, ended_by)


# --- ray -------------------------------------------------------------------------------------------------------------


def _share_datasets(task: Task, space: Space) -> dict[str, ray.ObjectRef]:
    """Build and share the data set, with its text vectors, for each combination of choices that affect it."""
    choices = [p for p in space.parameters if p.kind == "choice"]
    plain = dataset_key(task.config({}, task.output))
    makes_another = []
    for parameter in choices:
        keys = {dataset_key(task.config({parameter.name: value}, task.output)) for value in parameter.values}
        if keys != {plain}:
            makes_another.append(parameter)
    shared: dict[str, ray.ObjectRef] = {}
    combinations = itertools.product(*(parameter.values for parameter in makes_another))
    for values in itertools.islice(combinations, MOST_DATASETS):
        named = zip((parameter.name for parameter in makes_another), values, strict=True)
        config = task.config(dict(named), task.output)
        key = dataset_key(config)
        if key in shared:
            continue
        dataset = recbole.data.utils.create_dataset(config)
        source = getattr(dataset, "text_source", None)
        if source is not None:
            source.matrix()
        shared[key] = ray.put(dataset)
    return shared


def _run(
    plan: Plan,
    space: Space,
    settings: list[dict[str, Any]] | None,
    task: Task,
    config: Config,
    watch: Watch,
    budget: TimeBudget,
) -> bool:
    """Run the trials with Ray Tune; returns whether trials are left to run."""
    if budget.over:
        return True
    mode = "max" if config["valid_metric_bigger"] else "min"
    resources = {"cpu": plan.cpus, **({"gpu": plan.gpus} if plan.gpus else {})}
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(run_trial, task=task), resources),
        param_space={} if settings is None else {"setting": tune.grid_search(settings)},
        tune_config=tune.TuneConfig(
            metric="valid_score",
            mode=mode,
            scheduler=_scheduler(plan.scheduler, config["epochs"]),
            search_alg=_optuna(plan, space, config, task.output, mode) if settings is None else None,
            num_samples=plan.trials if settings is None else 1,
            max_concurrent_trials=plan.concurrent,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=f"{time.time_ns()}",
            storage_path=str(task.output / RAY_FOLDER),
            verbose=0,
            progress_reporter=tune.CLIReporter(),  # silent; in a notebook Ray's own would clear the cell's bar
            callbacks=[watch],
            stop=budget,
            failure_config=tune.FailureConfig(max_failures=1),  # one retry after a node or worker has died
        ),
    )
    with watch, memory_kills_one_trial():
        grid = tuner.fit()
    shutil.rmtree(task.output / RAY_FOLDER, ignore_errors=True)
    begun = grid._experiment_analysis.trials
    folders = [records.folder_of(task.output, trial.config["setting"]) for trial in begun]
    return len(begun) < watch.total or any(records.read_end(folder)[0] == records.UNFINISHED for folder in folders)


def _scheduler(name: str, epochs: int) -> "TrialScheduler | None":
    """Early stopping of trials, by training epoch instead of report count, which restarts after a kill.

    No trial stops in the first fifth of the epochs, and half of the trials continue at each rung, because a low
    learning rate starts slowly but may win. (With a tenth and a third instead, LongInterest's defaults were stopped on
    ml-100k, where they win.)
    """
    from ray.tune import schedulers

    grace = max(1, epochs // 5)
    if name == "asha":
        return schedulers.ASHAScheduler(time_attr="epoch", max_t=epochs + 1, grace_period=grace, reduction_factor=2)
    if name == "median":
        return schedulers.MedianStoppingRule(time_attr="epoch", grace_period=grace, min_samples_required=3)
    return None


def _optuna(plan: Plan, space: Space, config: Config, output: Path, mode: str) -> "OptunaSearch":
    """Optuna's search, which learns from earlier trials; a resumed search starts with its trials, without training."""
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    fixed = fixed_by_name(plan, space, config)
    before = [space.suggested(trial.setting) for trial in records.read_trials(output, config["valid_metric_bigger"])]
    own = space.own(own_config(plan), fixed)
    first = before or ([] if own is None else [space.suggested(own)])
    return OptunaSearch(
        functools.partial(_suggested, space, fixed),  # Ray pickles it
        metric=BEST,
        mode=mode,
        seed=plan.search_seed + len(before),  # the same seed would repeat earlier draws
        points_to_evaluate=first or None,
    )


def _suggested(space: Space, fixed: dict[str, Any], trial: Suggest) -> dict[str, Any]:
    return {"setting": space.draw(trial, fixed)}


# --- the best trial --------------------------------------------------------------------------------------------------


def _test(trial: records.Trial, fixed: dict[str, Any]) -> dict[str, float]:
    """Evaluate the best trial's checkpoint on the test data."""
    from recbole.quick_start import load_data_and_model
    from recbole.utils import get_trainer

    assert trial.checkpoint is not None
    named = {name: value for name, value in {**fixed, **trial.setting}.items() if name in PLACES}
    with command_line(()):
        config, model, _, train_data, _, test_data = load_data_and_model(str(trial.checkpoint), **named)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.eval_collector.data_collect(train_data)  # training data for coverage and similar metrics
    if trial.protocol == NATIVE:
        return trainer.evaluate(test_data, load_best_model=False)
    seen = MaskedPass(test_data)
    with watching_batches(trainer, seen.add):
        found = trainer.evaluate(test_data, load_best_model=False)
    name, _, k = str(config["valid_metric"]).lower().partition("@")
    return {MASKED: float(metric_of(name, seen.ranks(), int(k)).mean()), **found}
