"""Search a model's settings, from Python or as `recbole-li tune`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.packages import require_ray
from recbole_longinterest.common.resources import resource
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.plugin.models import known_models
from recbole_longinterest.plugin.own_models import is_own
from recbole_longinterest.training.settings import make_config

if TYPE_CHECKING:
    from recbole_longinterest.experiments.tuning.driver import Outcome


def tune(
    model: str | None = None,
    dataset: str | None = None,
    *,
    output: str | Path,
    space: str | Path | None = None,
    config_files: Sequence[str | Path] = (),
    settings: Mapping[str, object] | Sequence[str] = (),
    trials: int | None = None,
    scheduler: str = "asha",
    search: str = "random",
    search_seed: int = 2020,
    protocol: str = "native",
    cpus_per_trial: float = 1,
    gpus_per_trial: float = 0,
    max_concurrent: int | None = None,
    time_budget: float | None = None,
    address: str | None = None,
    resume: bool = False,
    show_progress: bool = True,
) -> "Outcome":
    """Search a model's settings with Ray Tune and write a report.

    Trials are compared on the validation data. Only the best trial is evaluated on the test data, once, at the end.

    Example:
        >>> outcome = tune("GRU4Rec", "ml-100k", output="search", trials=20, settings={"epochs": 30})
        >>> outcome.trials[0].setting

    Args:
        model: any RecBole model, or ``module:Class`` of your own; the default is LongInterest.
        dataset: name of the data set; the default is ml-100k.
        output: folder of all results: ``summary.md``, ``trials.csv``, ``best.yaml``, ``best.pth`` and plots, and the
            other protocol's choice among the same trials (``best.native.yaml`` or ``best.masked.yaml``). On a cluster,
            all nodes must share it.
        space: yaml file of the search space, or RecBole's ``hyper.test``; None for the plugin's space of the model.
        config_files: yaml files with settings of every trial; later files override earlier ones.
        settings: settings of every trial, which override the files: a mapping, or ``--key=value`` texts as on the
            command line.
        trials: number of settings to try; None for 10, or for all settings of a grid.
        scheduler: early stopping of trials: ``"asha"``, ``"median"`` or ``"none"``.
        search: choice of settings: ``"random"``, ``"grid"`` or ``"optuna"``.
        search_seed: seed of the search.
        protocol: ``"native"`` or ``"masked"``: whether trials are compared by RecBole's ranking or without items of the
            user's history. Each trial records both values if the model has them.
        cpus_per_trial: CPU cores per trial.
        gpus_per_trial: GPUs per trial, may be a fraction.
        max_concurrent: maximum number of parallel trials; None for as many as resources allow.
        time_budget: seconds from this call, including the loading of data, after which all trials stop. The test of
            the best trial is extra.
        address: Ray cluster, such as ``"auto"`` or ``"host:port"``; None for a local Ray during the search.
        resume: whether to continue the search in ``output``, including failed trials.
        show_progress: whether to show a progress bar.

    Returns:
        All trials, the best first, and the results of the best trial. After Ctrl-C it is marked as interrupted.

    Raises:
        LongInterestError: if settings, space or folder cannot be used, if every trial failed, or if the time was over
            before a trial had finished an epoch.
    """
    if trials is not None and trials < 1:
        raise LongInterestError(f"trials must be at least 1; got {trials}.")
    require_ray("recbole-li tune")
    # Late, because these imports fail with an old Ray, for which the line above raises a better error.
    from recbole_longinterest.experiments.tuning import records
    from recbole_longinterest.experiments.tuning.driver import Plan
    from recbole_longinterest.experiments.tuning.driver import search as run_search
    from recbole_longinterest.experiments.tuning.report import write_report

    output = Path(output)
    name, data, fixed = _fixed(model, dataset, config_files, settings)
    known = known_models().get(name)
    file = Path(space) if space is not None else resource("properties", f"search/{name}.yaml")
    if space is None and known and known.own:
        file = known.file(f"search/{name}.yaml") or file
    if space is None and not file.is_file():
        raise LongInterestError(f"The plugin has no search space for {name}; give one with --space FILE.")
    plan = Plan(
        model=model if model and is_own(model) else name,
        dataset=data,
        space=str(file),
        trials=10 if trials is None and search != "grid" else trials,
        fixed=fixed,
        scheduler=scheduler,
        search=search,
        search_seed=search_seed,
        protocol=protocol,
        cpus=cpus_per_trial,
        gpus=gpus_per_trial,
        concurrent=max_concurrent,
    )
    outcome = run_search(plan, output, resume, address, time_budget, show_progress=show_progress)
    write_report(outcome, output)
    if outcome.trials and all(trial.status == records.ERROR for trial in outcome.trials):
        raise LongInterestError(
            f"All {len(outcome.trials)} trials failed; {output / 'summary.md'} has the reasons. "
            f"The first: {outcome.trials[0].reason}"
        )
    if outcome.time_budget is not None and outcome.valid_result is None:
        raise LongInterestError(
            f"No trial finished an epoch in the {outcome.time_budget:g} s of --time-budget, which includes the loading "
            "of data. Give more time, with --resume."
        )
    return outcome


def _fixed(
    model: str | None,
    dataset: str | None,
    config_files: Sequence[str | Path],
    settings: Mapping[str, object] | Sequence[str],
) -> tuple[str, str, dict[str, object]]:
    """Names of the model and the data set, and the settings of every trial, parsed by RecBole."""
    words, values = ((), settings) if isinstance(settings, Mapping) else (settings, {})
    with command_line(words):
        config = make_config(model, dataset, config_files, {"show_progress": False, **values})
    given = {
        **config.file_config_dict,
        **{name: value for name, value in config.variable_config_dict.items() if name in values},
        **config.cmd_config_dict,
    }
    fixed = {name: value for name, value in given.items() if name not in ("model", "dataset", "config_files")}
    return config["model"], config["dataset"], fixed
