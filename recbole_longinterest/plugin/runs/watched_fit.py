"""Run a training that reports the validation results of every epoch."""

import math
from collections.abc import Callable

from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.trainer.trainer import DecisionTreeTrainer, Trainer

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.plugin.runs.choices import scores_of

OnEpoch = Callable[[int, dict[str, float]], None]


def fit_watched(
    trainer: Trainer,
    train_data: AbstractDataLoader,
    valid_data: AbstractDataLoader,
    on_epoch: OnEpoch | None,
    **options: object,
) -> tuple[float, dict[str, float]]:
    """RecBole's ``Trainer.fit`` with a callback after every evaluated epoch.

    Args:
        trainer: trainer of any model.
        train_data: training loader.
        valid_data: validation loader.
        on_epoch: called after the epoch's checkpoint is written, with the epoch, counted from 0, and all validation
            metrics, including those of ``best_by`` and ``valid_score``. Models without epochs never call it.
        options: further arguments of ``fit``.

    Returns:
        The best score and its metrics.

    Raises:
        ValueError: if the score is NaN or infinite.
    """
    if on_epoch is None or isinstance(trainer, DecisionTreeTrainer):
        return trainer.fit(train_data, valid_data, **options)
    latest: dict[str, float] = {}
    evaluate_epoch = trainer._valid_epoch

    def valid_epoch(*args: object, **kwargs: object) -> tuple[float, dict[str, float]]:
        score, metrics = evaluate_epoch(*args, **kwargs)
        if not math.isfinite(score):
            raise LongInterestError(f"The validation score is {score}.")
        latest.clear()
        latest.update({name: float(value) for name, value in metrics.items()})  # GAUC is a numpy number
        return score, metrics

    trainer._valid_epoch = valid_epoch  # only for this call
    try:
        return trainer.fit(
            train_data,
            valid_data,
            callback_fn=lambda epoch, score: on_epoch(
                epoch, {**latest, **scores_of(trainer), "valid_score": float(score)}
            ),
            **options,
        )
    finally:
        del trainer._valid_epoch  # restores the method of the class
