"""The plan of a search: the settings of its trials, and the check that a folder holds the same search."""

import itertools
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from recbole.config import Config

from recbole_longinterest.common import packages
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import write_text
from recbole_longinterest.common.json_text import read_json
from recbole_longinterest.experiments.quiet import without_warnings
from recbole_longinterest.experiments.tuning import records
from recbole_longinterest.experiments.tuning.protocol import check_protocol
from recbole_longinterest.experiments.tuning.space import Space
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.plugin.known_keys import about, known_keys
from recbole_longinterest.training.settings import make_config

PLAN = "search.json"
OWN = ("model", "dataset", "checkpoint_dir", "resume", "state", "show_progress")  # set by tune for each trial


@dataclass(frozen=True)
class Plan:
    """The plan of a search. It is saved with the results, so that ``resume`` can check it.

    Attributes:
        model: any RecBole model, or ``module:Class``.
        dataset: name of the data set.
        space: file of the search space.
        trials: number of settings to try, starting with the model's defaults if the space contains them; None for all
            settings of a grid.
        fixed: settings of every trial.
        scheduler: early stopping of trials: asha, median or none.
        search: choice of settings: random, grid or optuna.
        search_seed: seed of the search.
        cpus: CPU cores per trial.
        gpus: GPUs per trial, may be a fraction.
        concurrent: maximum number of parallel trials; None for as many as resources allow.
        protocol: native or masked: the validation score that trials are compared by.
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
    protocol: str = "native"


def config_of(plan: Plan, space: Space) -> Config:
    """RecBole's config of a trial without the drawn settings.

    Raises:
        ValueError: if trials with these settings cannot be compared.
    """
    compared = [parameter for parameter in space.parameters if parameter.name == "valid_metric"]
    if not all(parameter.constant for parameter in compared):
        raise LongInterestError(f"{plan.space}: trials are compared by one valid_metric; give it one value.")
    with command_line(()):
        same = {p.name: p.values[0] for p in space.parameters if p.constant}  # equal in all trials
        config = make_config(plan.model, plan.dataset, (), {**same, **plan.fixed})
    if config["nproc"] not in (None, 1):
        raise LongInterestError("A trial is one process; leave nproc out and give --max-concurrent.")
    check_protocol(plan.protocol, config)
    if config["eval_step"] < 1:
        raise LongInterestError("A search compares validation results; eval_step must be at least 1.")
    for kind, parts in (config["eval_args"]["split"] or {}).items():  # None for files that are already split
        if parts == "test_only" or (isinstance(parts, list) and (len(parts) < 2 or not parts[1])):
            raise LongInterestError(f"A search needs a validation part, and the split {kind}: {parts} has none.")
    return config


def settings_of(plan: Plan, space: Space, config: Config) -> list[dict[str, Any]] | None:
    """The settings of all trials; None if the search chooses each setting from the results of earlier trials.

    Raises:
        ValueError: if a setting cannot be searched or given.
    """
    known = known_keys(config)
    for name in ("checkpoint_dir", "resume"):
        if name in plan.fixed:
            raise LongInterestError(f"tune sets {name} itself; leave it out.")
    if not plan.cpus and not plan.gpus:
        raise LongInterestError(
            "A trial needs a CPU, a GPU or a part of one; got --cpus-per-trial 0 and --gpus-per-trial 0."
        )
    for parameter in space.parameters:
        if parameter.name in OWN:
            raise LongInterestError(f"{plan.space}: tune sets {parameter.name} itself; leave it out.")
        unknown = [name for name in (parameter.name, *parameter.when) if name not in known]
        if unknown:
            raise LongInterestError(f"{plan.space}: {about(unknown[0], str(config['model']), known)}")
        if parameter.name in plan.fixed:
            raise LongInterestError(
                f"{parameter.name} is searched by {plan.space} and given as {plan.fixed[parameter.name]}. Leave it "
                "out, or give a --space without it."
            )
    fixed = fixed_by_name(plan, space, config)
    if plan.search == "optuna":
        packages.require("optuna", "--search optuna")
        return None
    if plan.search == "grid":
        return list(itertools.islice(space.grid(fixed), plan.trials))
    return space.random(plan.trials or 0, plan.search_seed, fixed, space.own(own_config(plan), fixed))


def fixed_by_name(plan: Plan, space: Space, config: Config) -> dict[str, Any]:
    """Fixed values that conditions of a space may depend on, besides the drawn ones."""
    return {**{name: config[name] for parameter in space.parameters for name in parameter.when}, **plan.fixed}


def own_config(plan: Plan) -> Config:
    """The config of a training without a search: the model's defaults, and the fixed settings of every trial."""
    with command_line(()), without_warnings():
        return make_config(plan.model, plan.dataset, (), plan.fixed)


def keep_plan(plan: Plan, output: Path, resume: bool) -> None:
    """Write the plan into the folder of a search, or compare it with the existing plan.

    Raises:
        ValueError: if the folder holds a search with another plan, or a search although ``resume`` is off.
    """
    file = output / PLAN
    kept = {**asdict(plan), "space": Path(plan.space).read_text(encoding="utf-8")}
    begun = any((output / records.TRIALS).glob(f"*/{records.TRIAL}"))
    if not resume or (file.is_file() and not begun):
        if begun:
            raise LongInterestError(f"{output} holds a search. Give --resume to continue it, or another --output.")
        write_text(file, json.dumps(kept, indent=1))
        return
    if not file.is_file():
        raise LongInterestError(f"There is no search to resume in {output}. Leave --resume out to start one.")
    before: dict[str, Any] = {"protocol": "native", **read_json(file)}  # the only one in earlier versions
    free = ("trials", "gpus", "concurrent")
    other = [name for name in kept if kept[name] != before.get(name) and name not in free]
    if other:
        now: Any = kept[other[0]]
        then: Any = before.get(other[0])
        name = other[0]
        if name == "fixed":
            name = next(key for key in sorted(now.keys() | then.keys()) if now.get(key) != then.get(key))
            now, then = now.get(name), then.get(name)
        raise LongInterestError(f"{output} cannot resume with other settings: {name} is {now!r} and was {then!r}.")
    records.forget_failures(output)


def fixed_settings(plan: Plan, config: Config) -> dict[str, Any]:
    """Settings of every trial, with absolute paths, because a trial runs in another folder and process."""
    fixed = {**plan.fixed, "num_threads": max(1, int(plan.cpus))}
    for name in ("data_path", "text_encoder", "text_vectors"):
        value = fixed.get(name)
        if isinstance(value, str) and Path(value).exists():
            fixed[name] = str(Path(value).resolve())
    if "data_path" not in fixed and config["dataset"] != "ml-100k":
        fixed["data_path"] = str(Path(config["data_path"]).resolve().parent)
    return fixed
