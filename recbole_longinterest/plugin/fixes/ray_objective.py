"""The objective function of a hyperparameter search, inside and outside Ray trials."""

import logging
import sys
from collections.abc import Callable, Sequence
from logging import getLogger
from typing import Any

import recbole.data.utils
from recbole.config.configurator import Config
from recbole.utils import get_model, get_trainer, init_logger, init_seed

from recbole_longinterest.plugin.fixes.registry import patch
from recbole_longinterest.plugin.runs.watched_fit import fit_watched

Report = Callable[[dict[str, Any]], None]


@patch(
    "recbole.quick_start.quick_start:objective_function",
    name="ray_objective",
    kind="fix",
    issue=(1741, 1819),
    why="RecBole calls `tune.report(**metrics)`, which Ray 2.7 has removed, and reports test results to the search.",
)
def objective_function(
    config_dict: dict[str, Any] | None = None,
    config_file_list: Sequence[str] | None = None,
    saved: bool = True,
) -> dict[str, Any]:
    """RecBole's ``objective_function``: train one setting, for HyperTuning, ``ray.tune`` or a call by hand.

    A Ray trial reports every evaluated epoch: all validation metrics under their full names (``mrr@10``,
    ``recall@10``), ``valid_score`` (the value of ``valid_metric``), and ``epoch``. Test results are never reported
    during the trial.

    Args:
        config_dict: the setting.
        config_file_list: further settings.
        saved: whether to write a checkpoint and test the best epoch's model.

    Returns:
        RecBole's result. Ray takes a trial's return value as its last report, so in a trial it also contains the best
        epoch's validation metrics, and the search sees the score of the saved model.
    """
    config = Config(config_dict=config_dict, config_file_list=config_file_list)
    init_seed(config["seed"], config["reproducibility"])
    logger = getLogger()
    for handler in logger.handlers[:]:  # handlers of the previous trial
        logger.removeHandler(handler)
    init_logger(config)
    logging.basicConfig(level=logging.ERROR)
    dataset = recbole.data.utils.create_dataset(config)
    train_data, valid_data, test_data = recbole.data.utils.data_preparation(config, dataset)
    init_seed(config["seed"], config["reproducibility"])
    model = get_model(config["model"])(config, train_data._dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)

    report = _ray_report()
    metric = config["valid_metric"].lower()
    best: dict[str, Any] = {}

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        result = {**metrics, metric: metrics["valid_score"], "epoch": epoch}
        if result["valid_score"] == trainer.best_valid_score:
            best.update(result)
        if report is not None:
            report(result)

    score, valid_result = fit_watched(trainer, train_data, valid_data, on_epoch, verbose=False, saved=saved)
    result = {
        "model": config["model"],
        "best_valid_score": score,
        "valid_score_bigger": config["valid_metric_bigger"],
        "best_valid_result": valid_result,
        "test_result": trainer.evaluate(test_data, load_best_model=saved),
    }
    if report is None:
        return result
    return {**result, metric: float(score), "valid_score": float(score), "epoch": -1, **best}


def _ray_report() -> Report | None:
    """``ray.tune.report`` in a trial, else None. Outside a trial this does not import or start Ray."""
    if "ray.tune" not in sys.modules:
        return None
    from ray import tune  # late: only a trial needs it, and has imported it
    from ray.tune.trainable.trainable_fn_utils import _in_tune_session  # the public context logs a warning outside

    return tune.report if _in_tune_session() else None
