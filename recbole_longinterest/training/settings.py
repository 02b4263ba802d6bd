"""Make RecBole's config for a run, and check its files, keys and values before the training."""

from collections.abc import Mapping, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

import torch
import yaml
from recbole.config import Config
from recbole.evaluator.register import metrics_dict
from recbole.utils import ModelType

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.yaml import read_yaml
from recbole_longinterest.data.behaviors import uses_behaviors
from recbole_longinterest.plugin.fixes.plugin_settings import negatives_follow_loss_type
from recbole_longinterest.plugin.own_models import model_name
from recbole_longinterest.plugin.register import register
from recbole_longinterest.plugin.runs import averaging, choices, resumed_settings

register()  # apply all patches before a config is made

WITHOUT_K = ("auc", "gauc", "mae", "rmse", "logloss")  # RecBole's metrics without topk

# Settings with their types and lowest values.
NUMBERS: tuple[tuple[str, Any, int], ...] = (
    ("epochs", int, 0),
    ("train_batch_size", int, 1),
    ("eval_batch_size", int, 1),
    ("eval_step", int, 0),
    ("stopping_step", int, 0),
    ("MAX_ITEM_LIST_LENGTH", int, 1),
    ("seed", int, 0),
    ("nproc", int, 1),
    ("num_threads", int, 1),
    ("learning_rate", (int, float), 0),
    ("weight_decay", (int, float), 0),
    ("tail_ratio", (int, float), 0),
)
OPTIONAL = ("nproc", "num_threads", "tail_ratio")  # numbers that may be unset


def make_config(
    model: str | None = None,
    dataset: str | None = None,
    config_files: Sequence[str | Path] = (),
    config_dict: Mapping[str, object] | None = None,
) -> Config:
    """Make RecBole's config and check it: files, keys, values and the data set folder.

    In a user's script, settings on the command line override ``config_dict``, as in RecBole.

    Args:
        model: name of any RecBole model, or ``module:Class`` of one of your own, whose module is imported. If it is
            None, the files or ``config_dict`` name it; the default is LongInterest.
        dataset: name of the data set. If it is None, the files or ``config_dict`` name it; the default is ml-100k.
        config_files: yaml files; later files override earlier ones.
        config_dict: values that override the files. If ``resume`` is a checkpoint file, the settings of its run are
            used; the others may repeat them, raise ``epochs``, or change settings that do not affect training.

    Returns:
        The config. ``train_neg_sample_args`` follows ``loss_type`` unless set.

    Raises:
        LongInterestError: for a file, key, value, model or data set that cannot be used.
    """
    for kind, name in (("model", model), ("dataset", dataset)):
        if name is not None and (not name or Path(name).name != name):
            raise LongInterestError(f"{kind} must be a name; got {name!r}.")
    if model is not None:
        model = model_name(model)
    given = dict(config_dict or {})
    named = set(given)
    for file in config_files:
        named |= keys_of_file(Path(file))
    files = [str(file) for file in config_files]
    resumed = given.get("resume")
    if resumed not in (None, True, False):
        given.pop("resume")
        config = resumed_settings.config_of_run(
            str(resumed),
            lambda config: {
                **{"model": model, "dataset": dataset},
                **config._load_config_files(files),
                **config._convert_config_dict(given),
                **config._load_cmd_line(),
            },
        )
    else:
        config = _new_config(model, dataset, files, given, named)
    check_values(config)
    folder = Path(config["data_path"])
    if not folder.is_dir():
        raise LongInterestError(
            f"There is no data set folder {folder}. Put {config['dataset']}.inter there, or give the folder above it "
            "as --data_path (ml-100k needs none: it is inside RecBole)."
        )
    return config


def _new_config(
    model: str | None, dataset: str | None, files: list[str], given: dict[str, object], named: set[str]
) -> Config:
    model = model or (None if "model" in named else "LongInterest")
    dataset = dataset or (None if "dataset" in named else "ml-100k")
    try:
        with negatives_follow_loss_type():
            config = Config(model, dataset, files, given)
    except KeyError as error:  # RecBole's KeyError prints its message in quotes
        raise LongInterestError(str(error.args[0])) from error
    _say_what_is_not_read(config)
    return config


def keys_of_file(file: Path) -> set[str]:
    """Keys of a config file, read before RecBole reads it.

    Raises:
        LongInterestError: if the file is missing or is not a yaml file of ``key: value`` lines.
    """
    if not file.is_file():
        raise LongInterestError(f"There is no config file {file}.")
    try:
        content = read_yaml(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LongInterestError(f"{file} is not a yaml file: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise LongInterestError(f"{file} must hold `key: value` lines; it holds {type(content).__name__}.")
    return set(content)


def _say_what_is_not_read(config: Config) -> None:
    if config["MODEL_TYPE"] != ModelType.SEQUENTIAL and uses_behaviors(config):  # a prepared data set's yaml sets them
        getLogger().warning(
            f"{config['model']} is not a sequential model: it treats events of all behaviours alike and ignores "
            "target_behavior and behavior_map."
        )


def check_values(config: Config) -> None:
    """Check values that RecBole checks late or never.

    Raises:
        LongInterestError: lists all wrong values.
    """
    wrong = [*_wrong_numbers(config), *_wrong_averaging(config), *_wrong_gpus(config), *_wrong_metric(config)]
    wrong += _wrong_choices(config)
    if wrong:
        raise LongInterestError(" ".join(wrong))


def _wrong_numbers(config: Config) -> list[str]:
    wrong = []
    for key, kind, low in NUMBERS:
        value = config[key]
        if value is None and key in OPTIONAL:
            continue
        if isinstance(value, bool) or not isinstance(value, kind) or value < low:
            what = "a whole number" if kind is int else "a number"
            wrong.append(f"{key} must be {what} of at least {low}; got {value!r}.")
    return wrong


def _wrong_averaging(config: Config) -> list[str]:
    try:
        decay = averaging.read_decay(config)
    except ValueError as error:
        return [str(error)]
    if decay and (config["model"] == "NCL" or config["MODEL_TYPE"] == ModelType.DECISIONTREE):
        return [f"{config['model']} has its own training loop, without {averaging.SETTING}. Leave it out."]
    return []


def _wrong_choices(config: Config) -> list[str]:
    try:
        choices.criteria_of(config)
    except ValueError as error:
        return [str(error)]
    return []


def _wrong_gpus(config: Config) -> list[str]:
    gpus = str(config["gpu_id"]).replace(" ", "").strip(",").split(",")
    if torch.cuda.is_available() and gpus != [""] and len(gpus) < (config["nproc"] or 1):
        return [
            f"nproc needs a GPU per process; got nproc={config['nproc']} and gpu_id={config['gpu_id']}. Name more "
            "GPUs, as --gpu_id=0,1, or none, as --gpu_id=, to train on the CPU."
        ]
    return []


def _wrong_metric(config: Config) -> list[str]:
    offered = [
        name
        for metric in config["metrics"]
        for name in ([metric] if metric.lower() in WITHOUT_K else [f"{metric}@{k}" for k in config["topk"]])
    ]
    metric = str(config["valid_metric"]).lower()
    known = "@" in metric or metric in metrics_dict  # other names may be metrics that the user has added
    if known and metric not in map(str.lower, offered):
        return [f"valid_metric must be one of {', '.join(offered)} (metrics and topk); got {config['valid_metric']}."]
    return []
