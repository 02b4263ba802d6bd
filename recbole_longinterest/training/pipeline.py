"""Run a training from a config: data, model, trainer, evaluation. Ray is not needed."""

import contextlib
import logging
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import TypeAlias

import recbole.data.utils
import torch
from recbole.config import Config
from recbole.data.dataloader import AbstractDataLoader
from recbole.data.dataset import Dataset
from recbole.model.abstract_recommender import AbstractRecommender
from recbole.trainer import Trainer
from recbole.utils import get_model, get_trainer, init_logger, init_seed, set_color

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.notebook import in_notebook
from recbole_longinterest.plugin.runs import logs
from recbole_longinterest.plugin.runs.allocation import AllocationLimit
from recbole_longinterest.plugin.runs.checkpoints import LAST
from recbole_longinterest.plugin.runs.files import wanted_file
from recbole_longinterest.plugin.runs.watched_fit import OnEpoch, fit_watched
from recbole_longinterest.training.settings import WITHOUT_K

REQUEST_NOTE = (
    "request_time is on: the model reads the time of every target, as the time of the request. Do not compare these "
    "results with those of models that do not read it."
)


Loaders: TypeAlias = tuple[AbstractDataLoader, AbstractDataLoader, AbstractDataLoader]


@dataclass(frozen=True)
class Run:
    """Results of a finished run.

    Attributes:
        best_valid_score: value of ``valid_metric`` at the best epoch.
        best_valid_result: all metrics on the validation data at that epoch.
        test_result: all metrics on the test data with the model of that epoch, or of the last epoch if nothing was
            saved; None if the split has no test part.
        checkpoint: file of the best epoch's model; None if nothing was saved.
        reads_request_time: whether the model reads the time of the request. If so, both results use the target's time
            and must not be compared with those of models that do not.
    """

    best_valid_score: float
    best_valid_result: dict[str, float] | None
    test_result: dict[str, float] | None
    checkpoint: Path | None
    reads_request_time: bool = False


@dataclass(frozen=True)
class Trained:
    """A finished training, ready to be evaluated on the test data.

    Attributes:
        trainer: RecBole's, with the model.
        valid_data: loader of the validation part.
        test_data: loader of the test part.
        best_valid_score: value of ``valid_metric`` at the best epoch.
        best_valid_result: all metrics on the validation data at that epoch.
    """

    trainer: Trainer
    valid_data: AbstractDataLoader
    test_data: AbstractDataLoader
    best_valid_score: float
    best_valid_result: dict[str, float] | None


def train(
    config: Config,
    saved: bool = True,
    dataset: Dataset | None = None,
    on_epoch: OnEpoch | None = None,
    start: Callable[[AbstractRecommender], None] | None = None,
    stop_by: str | None = None,
    loaders: Loaders | None = None,
    after_save: Callable[[int], None] | None = None,
) -> Trained:
    """Train on the training part and choose the epoch on the validation part. The test part is not used.

    Args:
        config: from :func:`~recbole_longinterest.training.settings.make_config`.
        saved: write a checkpoint.
        dataset: a data set made with these settings; the training may change it. If None, it is read from its files.
        on_epoch: called after every evaluated epoch, see
            :func:`~recbole_longinterest.plugin.runs.watched_fit.fit_watched`.
        start: called with the model before the first epoch, for example to load pretrained weights.
        stop_by: criterion whose early stopping ends the training: the native one or one of ``best_by``. None means
            that all criteria must have stopped.
        loaders: loaders of the training, validation and test part, made with these settings; used instead of
            ``dataset``.
        after_save: called in every process after the files of an epoch are written, with the epoch counted from 0.

    Returns:
        The trainer with the model, the loader of the test part, and the best epoch's validation results.

    Raises:
        LongInterestError: if the settings do not fit the data or the model.
        KeyboardInterrupt: after Ctrl-C; its message says how to resume.
    """
    if config["num_threads"]:
        torch.set_num_threads(config["num_threads"])
    init_seed(config["seed"], config["reproducibility"])
    init_logger(config)
    logs.set_up(config)
    logger = getLogger()
    level = logging.DEBUG if in_notebook() else logging.INFO  # two hundred settings would fill a notebook cell
    logger.log(level, sys.argv)
    logger.log(level, config)

    if loaders is not None:
        dataset = loaders[0]._dataset
    elif dataset is None:
        dataset = recbole.data.utils.create_dataset(config)
    logger.info(dataset)
    ranked = any(metric.lower() not in WITHOUT_K for metric in config["metrics"])
    if ranked and max(config["topk"]) > dataset.item_num:  # torch's top-k fails at the first evaluation
        raise LongInterestError(
            f"topk must be at most {dataset.item_num} for the {dataset.item_num - 1} items of {config['dataset']}; "
            f"got {max(config['topk'])}. Give smaller values, as --topk=[5], and a valid_metric with one of them."
        )
    train_data, valid_data, test_data = loaders or recbole.data.utils.data_preparation(config, dataset)

    init_seed(config["seed"] + config["local_rank"], config["reproducibility"])
    begun = wanted_file(config)
    with AllocationLimit(begun) if begun else contextlib.nullcontext():
        model = get_model(config["model"])(config, train_data._dataset)
    model = model.to(config["device"])
    logger.info(model)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.stop_by, trainer.after_save = stop_by, after_save
    if start is not None:
        start(model)
    try:
        score, valid_result = fit_watched(
            trainer, train_data, valid_data, on_epoch, saved=saved, show_progress=config["show_progress"]
        )
    except KeyboardInterrupt as interrupt:
        if saved and Path(trainer.saved_model_file + LAST).is_file():
            raise KeyboardInterrupt(
                f"stopped; recbole-li run --resume {shlex.quote(trainer.saved_model_file)} continues after "
                "the last complete epoch."
            ) from interrupt
        raise
    if hasattr(trainer, "tensorboard"):  # all of RecBole's trainers have it
        trainer.tensorboard.close()  # its thread would outlive the run
    return Trained(trainer, valid_data, test_data, float(score), valid_result)


def run(
    config: Config,
    saved: bool = True,
    loaders: Loaders | None = None,
    after_save: Callable[[int], None] | None = None,
) -> Run:
    """Train on the training part, choose the epoch on the validation part, and evaluate once on the test part.

    Args:
        config: from :func:`~recbole_longinterest.training.settings.make_config`.
        saved: write a checkpoint and test the best epoch's model; otherwise the last epoch's model is tested.
        loaders: see :func:`train`.
        after_save: see :func:`train`.

    Returns:
        The results.

    Raises:
        LongInterestError: if the settings do not fit the data or the model.
    """
    trained = train(config, saved, loaders=loaders, after_save=after_save)
    trainer, logger = trained.trainer, getLogger()
    test_result = trainer.evaluate(trained.test_data, load_best_model=saved, show_progress=config["show_progress"])

    logger.info(set_color("best valid ", "yellow") + f": {trained.best_valid_result}")
    logger.info(set_color("test result", "yellow") + f": {test_result}")
    checkpoint = Path(trainer.saved_model_file) if saved else None
    if checkpoint is not None:
        logger.info(set_color("checkpoint ", "yellow") + f": {checkpoint}")
        for choice in getattr(trainer, "choices", ()):
            file, epoch = choice.criterion.file(checkpoint), choice.epoch
            logger.info(
                set_color(f"by {choice.criterion.name} ", "yellow") + f": {choice.score}, epoch {epoch}, {file}"
            )
    reads_request = reads_request_time(trainer)
    if reads_request:
        logger.info(set_color("note ", "yellow") + f": {REQUEST_NOTE}")
    return Run(trained.best_valid_score, trained.best_valid_result, test_result, checkpoint, reads_request)


def reads_request_time(trainer: Trainer) -> bool:
    """Whether a trainer's model reads the time of the request (``request_time``)."""
    model = getattr(trainer.model, "module", trainer.model)  # inside DistributedDataParallel
    return bool(getattr(model, "reads_request_time", False))
