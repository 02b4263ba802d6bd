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

    Trials are compared on the validation data. The winner alone is evaluated on the test data, once, at the end.

    Example:
        >>> outcome = tune("GRU4Rec", "ml-100k", output="search", trials=20, settings={"epochs": 30})
        >>> outcome.trials[0].setting

    Args:
        model: any RecBole model, or ``module:Class`` of your own; the default is LongInterest.
        dataset: name of the data set; the default is ml-100k.
        output: folder of all results: ``summary.md``, ``trials.csv``, ``best.yaml``, ``best.pth`` and plots, and
            the other protocol's choice among the same trials (``best.native.yaml`` or ``best.masked.yaml``). On a
            cluster, every node must see it.
        space: yaml file of the search space, or RecBole's ``hyper.test``; the plugin's for the model if None.
        config_files: yaml files with settings of every trial; later ones win.
        settings: settings of every trial that win over the files': a mapping, or ``--key=value`` each as on a command
            line.
        trials: settings to try. If it is None, 10; a grid tries all.
        scheduler: ``"asha"``, ``"median"`` or ``"none"``: how trials are stopped early.
        search: ``"random"``, ``"grid"`` or ``"optuna"``: how settings are chosen.
        search_seed: seed of that choice.
        protocol: ``"native"`` or ``"masked"``: whether trials are compared as RecBole ranks or without the items that
            the user has had before. Each trial's epochs hold both values where the model has them.
        cpus_per_trial: CPU cores of a trial.
        gpus_per_trial: GPUs of a trial, or a part of one.
        max_concurrent: most trials at a time; as many as the resources hold if None.
        time_budget: seconds from this call, the reading of the data included, after which no trial goes on; the
            winner's test comes after them.
        address: Ray cluster, as ``"auto"`` or ``"host:port"``; a local Ray for the time of the search if None.
        resume: go on with the search in ``output``, failed trials too.
        show_progress: show a progress bar.

    Returns:
        All trials, the best first, and the winner's results. After Ctrl-C it is marked as interrupted.

    Raises:
        LongInterestError: for settings, a space or a folder that cannot be used, if every trial failed, and if the
            time was over before a trial had finished an epoch.
    """
    require_ray("recbole-li tune")
    # Late, so that an old Ray, whose Tune lacks what these import, is refused by the line above.
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
        raise LongInterestError(f"The plugin has no search space for {name}; give one as --space FILE.")
    plan = Plan(
        model=model if model and is_own(model) else name,
        dataset=data,
        space=str(file),
        trials=trials or (None if search == "grid" else 10),
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
            f"Not one of {len(outcome.trials)} trials succeeded; {output / 'summary.md'} has the reasons. "
            f"The first: {outcome.trials[0].reason}"
        )
    if outcome.time_budget is not None and outcome.valid_result is None:
        raise LongInterestError(
            f"No trial finished an epoch in the {outcome.time_budget:g} s of --time-budget, which begin with the "
            "reading of the data. Give more, with --resume."
        )
    return outcome


def _fixed(
    model: str | None,
    dataset: str | None,
    config_files: Sequence[str | Path],
    settings: Mapping[str, object] | Sequence[str],
) -> tuple[str, str, dict[str, object]]:
    """Names of the model and the data set, and the settings of every trial, as RecBole reads them."""
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
