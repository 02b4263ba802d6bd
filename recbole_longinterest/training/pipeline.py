"""The one place that wires config, data, model and trainer, without ray and with errors that a user can act on."""

import difflib
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any

import recbole.data.utils
import torch
import yaml
from recbole.config import Config
from recbole.evaluator.register import metrics_dict
from recbole.utils import ModelType, get_model, get_trainer, init_logger, init_seed, set_color

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.behaviors import uses_behaviors
from recbole_longinterest.plugin.register import DATA_KEYS, negatives_follow_loss_type, register
from recbole_longinterest.plugin.runs import averaging, logs, resume
from recbole_longinterest.plugin.runs.checkpoints import LAST
from recbole_longinterest.plugin.runs.watched_fit import OnEpoch, fit_watched

register()  # for a process that imported the package without it; see recbole_longinterest/__init__.py

# Keys that RecBole reads and no yaml of it names.
UNNAMED_KEYS = {
    *("model", "dataset", "config_files", "encoding", "token_num_threshold", "tail_ratio"),
    *("resume", "quiet", "log_file", "num_threads"),
    *("nproc", "world_size", "ip", "port", "offset", "group_offset", "local_rank"),
}
WITHOUT_K = ("auc", "gauc", "mae", "rmse", "logloss")  # RecBole's metrics that no topk belongs to


@dataclass(frozen=True)
class Run:
    """What a finished run hands back.

    Attributes:
        best_valid_score: value of ``valid_metric`` at the best epoch.
        best_valid_result: all metrics on the validation data at that epoch.
        test_result: all metrics on the test data, of the model of that epoch; None if the split has no test part.
        checkpoint: file of that model, None if nothing was saved.
    """

    best_valid_score: float
    best_valid_result: dict[str, float] | None
    test_result: dict[str, float] | None
    checkpoint: Path | None


def make_config(
    model: str | None = None,
    dataset: str | None = None,
    config_files: Sequence[str | Path] = (),
    config_dict: dict[str, Any] | None = None,
) -> Config:
    """RecBole's config, checked: files, keys and the data set folder.

    Args:
        model: name of any RecBole model; if None the files or ``config_dict`` name it, else it is LongInterest.
        dataset: name of the data set; likewise, else it is ml-100k.
        config_files: yaml files, later ones win.
        config_dict: values over the files'. A file as ``resume`` brings all settings of its run with it; the others
            may repeat them, and change only what leaves the course of the training as it is, or give more epochs.

    Returns:
        The config. ``train_neg_sample_args`` follows ``loss_type`` unless set.

    Raises:
        ValueError: one sentence for a file, key, value, model or data set that does not hold.
    """
    for kind, name in (("model", model), ("dataset", dataset)):
        if name is not None and (not name or Path(name).name != name):
            raise LongInterestError(f"{kind} must be a name; got {name!r}.")
    config_dict = dict(config_dict or {})
    named = set(config_dict)
    for file in config_files:
        named |= _keys_of(Path(file))
    files = [str(file) for file in config_files]
    if config_dict.get("resume") not in (None, True, False):
        config = resume.config_of_run(
            config_dict.pop("resume"),
            lambda config: {
                **{"model": model, "dataset": dataset},
                **config._load_config_files(files),
                **config._convert_config_dict(config_dict),
                **config._load_cmd_line(),
            },
        )
    else:
        config = _new_config(model, dataset, files, config_dict, named)
    check_values(config)
    folder = Path(config["data_path"])
    if not folder.is_dir():
        raise LongInterestError(
            f"There is no data set folder {folder}. Put {config['dataset']}.inter there, or give the folder above it "
            "as --data_path (ml-100k needs none: it is inside RecBole)."
        )
    return config


def _new_config(
    model: str | None, dataset: str | None, files: list[str], config_dict: dict[str, Any], named: set[str]
) -> Config:
    model = model or (None if "model" in named else "LongInterest")
    dataset = dataset or (None if "dataset" in named else "ml-100k")
    try:
        with negatives_follow_loss_type():
            config = Config(model, dataset, files, config_dict)
    except KeyError as error:  # RecBole's KeyError prints its message in quotes
        raise LongInterestError(str(error.args[0])) from error
    _check_keys(config)
    return config


@dataclass(frozen=True)
class Trained:
    """A training's end: what is needed to evaluate it.

    Attributes:
        trainer: RecBole's, with the model.
        test_data: loader of the test part.
        best_valid_score: value of ``valid_metric`` at the best epoch.
        best_valid_result: all metrics on the validation data at that epoch.
    """

    trainer: Any
    test_data: Any
    best_valid_score: float
    best_valid_result: dict[str, float] | None


def train(
    config: Config,
    saved: bool = True,
    dataset: Any = None,  # noqa: ANN401
    on_epoch: OnEpoch | None = None,
    start: Callable[[Any], None] | None = None,
) -> Trained:
    """Train on the training part, choose the epoch on the validation part; the test part is not looked at.

    Args:
        config: from :func:`make_config`.
        saved: write a checkpoint.
        dataset: a data set made with these settings that nobody else uses; None makes it.
        on_epoch: called with every evaluated epoch, see `fit_watched`.
        start: called with the model before the first epoch, to give it other weights than random ones.
    """
    if config["num_threads"]:
        torch.set_num_threads(config["num_threads"])
    init_seed(config["seed"], config["reproducibility"])
    init_logger(config)
    logs.set_up(config)
    logger = getLogger()
    logger.info(sys.argv)
    logger.info(config)

    if dataset is None:
        dataset = recbole.data.utils.create_dataset(config)
    logger.info(dataset)
    ranked = any(metric.lower() not in WITHOUT_K for metric in config["metrics"])
    if ranked and max(config["topk"]) > dataset.item_num:  # torch's top-k fails at the first evaluation
        raise LongInterestError(
            f"topk must be at most {dataset.item_num} for the {dataset.item_num - 1} items of {config['dataset']}; "
            f"got {max(config['topk'])}. Give a smaller one, as --topk=[5], and a valid_metric that has it."
        )
    train_data, valid_data, test_data = recbole.data.utils.data_preparation(config, dataset)

    init_seed(config["seed"] + config["local_rank"], config["reproducibility"])
    model = get_model(config["model"])(config, train_data._dataset).to(config["device"])
    logger.info(model)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    if start is not None:
        start(model)
    try:
        score, valid_result = fit_watched(
            trainer, train_data, valid_data, on_epoch, saved=saved, show_progress=config["show_progress"]
        )
    except KeyboardInterrupt as interrupt:
        if saved and Path(trainer.saved_model_file + LAST).is_file():
            raise KeyboardInterrupt(
                f"stopped; recbole-li run --resume {trainer.saved_model_file} goes on after the last whole epoch."
            ) from interrupt
        raise
    if hasattr(trainer, "tensorboard"):  # all of RecBole's have it
        trainer.tensorboard.close()  # its thread would outlive the run
    return Trained(trainer, test_data, score, valid_result)


def run(config: Config, saved: bool = True) -> Run:
    """Train on the training part, choose the epoch on the validation part, evaluate once on the test part.

    Args:
        config: from :func:`make_config`.
        saved: write a checkpoint, and test the best epoch's model instead of the last one's.

    Returns:
        The results.
    """
    trained = train(config, saved)
    trainer, logger = trained.trainer, getLogger()
    test_result = trainer.evaluate(trained.test_data, load_best_model=saved, show_progress=config["show_progress"])

    logger.info(set_color("best valid ", "yellow") + f": {trained.best_valid_result}")
    logger.info(set_color("test result", "yellow") + f": {test_result}")
    checkpoint = Path(trainer.saved_model_file) if saved else None
    if checkpoint is not None:
        logger.info(set_color("checkpoint ", "yellow") + f": {checkpoint}")
    return Run(trained.best_valid_score, trained.best_valid_result, test_result, checkpoint)


def _keys_of(file: Path) -> set[str]:
    """Keys of a config file, checked before RecBole reads it."""
    if not file.is_file():
        raise LongInterestError(f"There is no config file {file}.")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LongInterestError(f"{file} is not a yaml file: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise LongInterestError(f"{file} must hold `key: value` lines; it holds {type(content).__name__}.")
    return set(content)


def known_keys(config: Config) -> set[str]:
    """Every setting that a config's model and data may have."""
    known = set().union(*config.parameters.values())
    if not config.model_class.__module__.startswith("recbole_longinterest."):
        known -= set(DATA_KEYS)  # of LongInterest's data set
    known |= config.internal_config_dict.keys() | UNNAMED_KEYS | {averaging.SETTING}
    if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
        known |= {"exact_order", "lean_sequences", "one_pass", "BEHAVIOR_FIELD", "behavior_map", "target_behavior"}
    source = inspect.getsource(sys.modules[config.model_class.__module__])
    known.update(re.findall(r"config\[[\"'](\w+)[\"']\]", source))  # keys of a model whose yaml leaves them out
    return known


def _check_keys(config: Config) -> None:
    """A misspelt key on the command line is an error; in a file, which may serve several models, a warning."""
    known = known_keys(config)
    for origin in ("cmd_config_dict", "file_config_dict", "variable_config_dict"):
        for key in getattr(config, origin):
            if key in known or key.startswith("alias_of_"):
                continue
            close = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            message = f"{config['model']} has no setting {key}.{hint}"
            if origin == "cmd_config_dict":
                raise LongInterestError(message)
            getLogger().warning(message)
    if config["MODEL_TYPE"] != ModelType.SEQUENTIAL and uses_behaviors(
        config
    ):  # as a prepared data set's own file says
        getLogger().warning(
            f"{config['model']} is no sequential model: to it events of all behaviours are alike, and target_behavior "
            "and behavior_map are not read."
        )


def check_values(config: Config) -> None:
    """RecBole fails deep inside, or not at all, on these."""
    wrong = []
    for key, kind, low in (
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
    ):
        value = config[key]
        if value is None and key in ("nproc", "num_threads", "tail_ratio"):
            continue
        if isinstance(value, bool) or not isinstance(value, kind) or value < low:
            what = "a whole number" if kind is int else "a number"
            wrong.append(f"{key} must be {what} of at least {low}; got {value!r}.")
    try:
        decay = averaging.read_decay(config)
    except ValueError as error:
        decay = 0.0
        wrong.append(str(error))
    if decay and (config["model"] == "NCL" or config["MODEL_TYPE"] == ModelType.DECISIONTREE):
        wrong.append(f"{config['model']} has an epoch of its own, without {averaging.SETTING}. Leave it out.")
    gpus = str(config["gpu_id"]).replace(" ", "").strip(",").split(",")
    if torch.cuda.is_available() and gpus != [""] and len(gpus) < (config["nproc"] or 1):
        wrong.append(
            f"nproc needs a GPU a process; got nproc={config['nproc']} and gpu_id={config['gpu_id']}. Name more GPUs, "
            "as --gpu_id=0,1, or none, as --gpu_id=, to train on the CPU."
        )
    offered = [
        name
        for metric in config["metrics"]
        for name in ([metric] if metric.lower() in WITHOUT_K else [f"{metric}@{k}" for k in config["topk"]])
    ]
    metric = str(config["valid_metric"]).lower()
    known = "@" in metric or metric in metrics_dict  # else it is one of the user's own
    if known and metric not in map(str.lower, offered):
        wrong.append(
            f"valid_metric must be one of {', '.join(offered)} (metrics and topk); got {config['valid_metric']}."
        )
    if wrong:
        raise LongInterestError(" ".join(wrong))
