"""A search from its plan to its winner: Ray Tune runs the trials, the winner is tested once."""

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
from recbole_longinterest.experiments.tuning.session import memory_kills_one_trial, ray_session
from recbole_longinterest.experiments.tuning.space import Space, Suggest, read_space
from recbole_longinterest.experiments.tuning.time_budget import TimeBudget
from recbole_longinterest.experiments.tuning.trial import BEST, Task, dataset_key, run_trial
from recbole_longinterest.experiments.tuning.watch import Watch
from recbole_longinterest.plugin import own_models
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.plugin.runs.places import PLACES
from recbole_longinterest.plugin.runs.seen_masked import MASKED, NATIVE, MaskedPass, metric_of, watching_batches

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler
    from ray.tune.search.optuna import OptunaSearch

RAY_FOLDER = "ray"  # of Ray's own files, gone when a search has ended
MOST_DATASETS = 16  # built ahead; a trial that needs another builds it itself


@dataclass(frozen=True)
class Outcome:
    """How a search ended.

    Attributes:
        plan: what was searched.
        metric: name of the metric on the validation data that trials are compared by.
        trials: all trials, the best first.
        test_result: metrics of the best trial's best epoch on the test data, None if there is none yet.
        valid_result: its metrics on the validation data.
        interrupted: whether it was stopped with trials left to run.
        time_budget: seconds after which the search was ended with trials left to run; None if it was not.
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
    """Run a search, or what is left of it.

    Args:
        plan: what to do.
        output: folder of all its files; on a cluster one that every node sees.
        resume: go on with the search of ``output``, whose plan must be the same.
        address: Ray cluster to use; None starts a local one, without dashboard, for the time of the search.
        time_budget: seconds from this call, the reading of the data included, after which no trial goes on.
        show_progress: show a progress bar.

    Returns:
        The outcome. After Ctrl-C it is one that is marked as interrupted.

    Raises:
        ValueError: for a plan that does not hold, and for an ``output`` that is not one to begin or go on in.
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
    """Build the data set, with the vectors of its texts, for every choice that changes it, and share it."""
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
    """Let Ray Tune run the trials; whether some are left to run."""
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
            callbacks=[watch],
            stop=budget,
            failure_config=tune.FailureConfig(max_failures=1),  # a node or a worker that died, once
        ),
    )
    with watch, memory_kills_one_trial():
        grid = tuner.fit()
    shutil.rmtree(task.output / RAY_FOLDER, ignore_errors=True)
    begun = grid._experiment_analysis.trials
    folders = [records.folder_of(task.output, trial.config["setting"]) for trial in begun]
    return len(begun) < watch.total or any(records.read_end(folder)[0] == records.UNFINISHED for folder in folders)


def _scheduler(name: str, epochs: int) -> "TrialScheduler | None":
    """How trials are stopped early, by epochs of training rather than by reports, which begin anew after a kill.

    None is stopped in the first fifth, and half go on at each rung: a low learning rate is slow to begin with and may
    win (a tenth and a third stopped LongInterest's defaults on ml-100k, which do).
    """
    from ray.tune import schedulers

    grace = max(1, epochs // 5)
    if name == "asha":
        return schedulers.ASHAScheduler(time_attr="epoch", max_t=epochs + 1, grace_period=grace, reduction_factor=2)
    if name == "median":
        return schedulers.MedianStoppingRule(time_attr="epoch", grace_period=grace, min_samples_required=3)
    return None


def _optuna(plan: Plan, space: Space, config: Config, output: Path, mode: str) -> "OptunaSearch":
    """Settings chosen by what the ones before gave; those of a search that goes on come first, without training."""
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
        seed=plan.search_seed + len(before),  # with the same seed it would draw the same again
        points_to_evaluate=first or None,
    )


def _suggested(space: Space, fixed: dict[str, Any], trial: Suggest) -> dict[str, Any]:
    return {"setting": space.draw(trial, fixed)}


# --- the winner ------------------------------------------------------------------------------------------------------


def _test(trial: records.Trial, fixed: dict[str, Any]) -> dict[str, float]:
    """Evaluate the winner's checkpoint on the test data."""
    from recbole.quick_start import load_data_and_model
    from recbole.utils import get_trainer

    assert trial.checkpoint is not None
    named = {name: value for name, value in {**fixed, **trial.setting}.items() if name in PLACES}
    with command_line(()):
        config, model, _, train_data, _, test_data = load_data_and_model(str(trial.checkpoint), **named)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.eval_collector.data_collect(train_data)  # what coverage and the like are measured against
    if trial.protocol == NATIVE:
        return trainer.evaluate(test_data, load_best_model=False)
    seen = MaskedPass(test_data)
    with watching_batches(trainer, seen.add):
        found = trainer.evaluate(test_data, load_best_model=False)
    name, _, k = str(config["valid_metric"]).lower().partition("@")
    return {MASKED: float(metric_of(name, seen.ranks(), int(k)).mean()), **found}
