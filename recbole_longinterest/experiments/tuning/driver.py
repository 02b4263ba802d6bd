"""A search from its plan to its winner: Ray Tune runs the trials, the winner is tested once."""

import contextlib
import functools
import itertools
import json
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
import recbole.data.utils
from ray import tune
from recbole.config import Config

from recbole_longinterest.common import packages
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.files import make_folder, write_text
from recbole_longinterest.experiments.tuning import records
from recbole_longinterest.experiments.tuning.session import memory_kills_one_trial, ray_session
from recbole_longinterest.experiments.tuning.space import Space, Suggest, read_space
from recbole_longinterest.experiments.tuning.trial import BEST, Task, dataset_key, run_trial
from recbole_longinterest.experiments.tuning.watch import Watch
from recbole_longinterest.plugin.fixes import environment
from recbole_longinterest.training.settings import known_keys, make_config

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler
    from ray.tune.search.optuna import OptunaSearch

PLAN = "search.json"
OWN = ("model", "dataset", "checkpoint_dir", "resume", "state", "show_progress")  # a trial's folder and place
RAY_FOLDER = "ray"  # of Ray's own files, gone when a search has ended
MOST_DATASETS = 16  # built ahead; a trial that needs another builds it itself


@dataclass(frozen=True)
class Plan:
    """What a search does; kept beside its results, so that ``resume`` goes on with the same.

    Attributes:
        model: any RecBole model.
        dataset: name of the data set.
        space: file of the search space.
        trials: settings to try, the model's own the first where the space holds it; a grid tries all if None.
        fixed: settings of every trial.
        scheduler: asha, median or none: how trials are stopped early.
        search: random, grid or optuna: how settings are chosen.
        search_seed: seed of that choice.
        cpus: CPU cores a trial.
        gpus: GPUs a trial, or a part of one.
        concurrent: most trials at a time; None is as many as the resources hold.
    """

    model: str
    dataset: str
    space: str
    trials: int | None
    fixed: dict[str, Any] = field(default_factory=dict)
    scheduler: str = "asha"
    search: str = "random"
    search_seed: int = 2020
    cpus: float = 1
    gpus: float = 0
    concurrent: int | None = None


@dataclass(frozen=True)
class Outcome:
    """How a search ended.

    Attributes:
        plan: what was searched.
        metric: name of the metric on the validation data that trials are compared by.
        trials: all trials, the best first.
        test_result: metrics of the best trial's best epoch on the test data, None if there is none yet.
        valid_result: its metrics on the validation data.
        interrupted: whether trials are left to run.
    """

    plan: Plan
    metric: str
    trials: Sequence[records.Trial]
    test_result: dict[str, float] | None
    valid_result: dict[str, float] | None
    interrupted: bool


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
        time_budget: seconds after which no trial goes on.
        show_progress: show a progress bar.

    Returns:
        The outcome. After Ctrl-C it is one that is marked as interrupted.

    Raises:
        ValueError: for a plan that does not hold, and for an ``output`` that is not one to begin or go on in.
    """
    output = output.resolve()
    space = read_space(Path(plan.space))
    config = _config(plan, space)
    settings = _settings(plan, space, config)
    make_folder(output)
    with lock_files(output / PLAN, "searching in", "give another --output"):
        _keep_plan(plan, output, resume)
        fixed = _fixed(plan, config)
        try:
            with ray_session(address):
                task = Task(config["model"], config["dataset"], fixed, output, {})
                with _without_warnings():
                    task.datasets.update(_share_datasets(task, space))
                total = (plan.trials or 1) if settings is None else len(settings)
                watch = Watch(output, config["valid_metric_bigger"], config["valid_metric"], total, show_progress)
                interrupted = _run(plan, space, settings, task, config, watch, time_budget)
        except KeyboardInterrupt:
            interrupted = True

    trials = records.read_trials(output, config["valid_metric_bigger"])
    best = trials[0] if trials and trials[0].checkpoint and trials[0].status != records.ERROR else None
    if interrupted or best is None:
        return Outcome(plan, config["valid_metric"], trials, None, best.best if best else None, interrupted)
    return Outcome(plan, config["valid_metric"], trials, _test(best), best.best, False)


# --- the plan --------------------------------------------------------------------------------------------------------


def _config(plan: Plan, space: Space) -> Config:
    compared = [parameter for parameter in space.parameters if parameter.name == "valid_metric"]
    if not all(parameter.constant for parameter in compared):
        raise LongInterestError(f"{plan.space}: trials are compared by one valid_metric; give it one value.")
    with environment.command_line(()):
        same = {p.name: p.values[0] for p in space.parameters if p.constant}  # of all trials
        config = make_config(plan.model, plan.dataset, (), {**same, **plan.fixed})
    if config["nproc"] not in (None, 1):
        raise LongInterestError("A trial is one process; leave nproc out and give --max-concurrent.")
    if config["eval_step"] < 1:
        raise LongInterestError("A search compares validation results; eval_step must be at least 1.")
    for kind, parts in (config["eval_args"]["split"] or {}).items():  # none for files that are split already
        if parts == "test_only" or (isinstance(parts, list) and (len(parts) < 2 or not parts[1])):
            raise LongInterestError(f"A search compares validation results, and the split {kind}: {parts} has none.")
    return config


def _settings(plan: Plan, space: Space, config: Config) -> list[dict[str, Any]] | None:
    """The settings of all trials; None where each is chosen after the ones before."""
    known = known_keys(config)
    for name in ("checkpoint_dir", "resume"):
        if name in plan.fixed:
            raise LongInterestError(f"{name} is tune's own to set; leave it out.")
    if not plan.cpus and not plan.gpus:
        raise LongInterestError(
            "A trial needs a CPU, a GPU or a part of one; got --cpus-per-trial 0 and --gpus-per-trial 0."
        )
    for parameter in space.parameters:
        if parameter.name in OWN:
            raise LongInterestError(f"{plan.space}: {parameter.name} is tune's own to set; leave it out.")
        unknown = [name for name in (parameter.name, *parameter.when) if name not in known]
        if unknown:
            raise LongInterestError(f"{plan.space}: {config['model']} has no setting {unknown[0]}.")
        if parameter.name in plan.fixed:
            raise LongInterestError(
                f"{parameter.name} is searched by {plan.space} and given as {plan.fixed[parameter.name]}."
            )
    fixed = _fixed_by_name(plan, space, config)
    if plan.search == "optuna":
        packages.require("optuna", "--search optuna")
        return None
    if plan.search == "grid":
        return list(itertools.islice(space.grid(fixed), plan.trials))
    return space.random(plan.trials or 0, plan.search_seed, fixed, space.own(_without_search(plan), fixed))


def _fixed_by_name(plan: Plan, space: Space, config: Config) -> dict[str, Any]:
    """What conditions may look at beside the drawn values."""
    return {**{name: config[name] for parameter in space.parameters for name in parameter.when}, **plan.fixed}


def _without_search(plan: Plan) -> Config:
    """The model's settings as they are where nothing is searched: its own, and those of every trial."""
    with environment.command_line(()), _without_warnings():
        return make_config(plan.model, plan.dataset, (), plan.fixed)


def _keep_plan(plan: Plan, output: Path, resume: bool) -> None:
    file = output / PLAN
    kept = {**asdict(plan), "space": Path(plan.space).read_text(encoding="utf-8")}
    begun = any((output / records.TRIALS).glob(f"*/{records.TRIAL}"))
    if not resume or (file.is_file() and not begun):
        if begun:
            raise LongInterestError(f"{output} holds a search. Give --resume to go on with it, or another --output.")
        write_text(file, json.dumps(kept, indent=1))
        return
    if not file.is_file():
        raise LongInterestError(f"There is no search in {output} to go on with. Leave --resume out to begin one.")
    before = json.loads(file.read_text(encoding="utf-8"))
    free = ("trials", "gpus", "concurrent")
    other = [name for name in kept if kept[name] != before.get(name) and name not in free]
    if other:
        now, then = kept[other[0]], before.get(other[0])
        name = other[0]
        if name == "fixed":
            name = next(key for key in sorted(now.keys() | then.keys()) if now.get(key) != then.get(key))
            now, then = now.get(name), then.get(name)
        raise LongInterestError(f"{output} cannot go on with other settings: {name} is {now!r} and was {then!r}.")
    records.forget_failures(output)


def _fixed(plan: Plan, config: Config) -> dict[str, Any]:
    """Settings of every trial, such that they mean the same in another folder and another process."""
    fixed = {**plan.fixed, "num_threads": max(1, int(plan.cpus))}
    for name in ("data_path", "text_encoder", "text_vectors"):
        value = fixed.get(name)
        if isinstance(value, str) and Path(value).exists():
            fixed[name] = str(Path(value).resolve())
    if "data_path" not in fixed and config["dataset"] != "ml-100k":
        fixed["data_path"] = str(Path(config["data_path"]).resolve().parent)
    return fixed


# --- ray -------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """What the first config has warned of is not said again by each of the others."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


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
    time_budget: float | None,
) -> bool:
    """Let Ray Tune run the trials; whether it was stopped before their end."""
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
            time_budget_s=time_budget,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=f"{time.time_ns()}",
            storage_path=str(task.output / RAY_FOLDER),
            verbose=0,
            callbacks=[watch],
            failure_config=tune.FailureConfig(max_failures=1),  # a node or a worker that died, once
        ),
    )
    begin = time.monotonic()
    with watch, memory_kills_one_trial():
        grid = tuner.fit()
    shutil.rmtree(task.output / RAY_FOLDER, ignore_errors=True)
    over = time_budget is not None and time.monotonic() - begin >= time_budget
    begun = grid._experiment_analysis.trials
    folders = [records.folder_of(task.output, trial.config["setting"]) for trial in begun]
    left = len(begun) < watch.total or any(records.read_end(folder)[0] == records.UNFINISHED for folder in folders)
    return left and not over


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
    fixed = _fixed_by_name(plan, space, config)
    before = [space.suggested(trial.setting) for trial in records.read_trials(output, config["valid_metric_bigger"])]
    own = space.own(_without_search(plan), fixed)
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


def _test(trial: records.Trial) -> dict[str, float]:
    """Evaluate the winner's checkpoint on the test data."""
    from recbole.quick_start import load_data_and_model
    from recbole.utils import get_trainer

    assert trial.checkpoint is not None
    with environment.command_line(()):
        config, model, _, train_data, _, test_data = load_data_and_model(str(trial.checkpoint))
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.eval_collector.data_collect(train_data)  # what coverage and the like are measured against
    return trainer.evaluate(test_data, load_best_model=False)
