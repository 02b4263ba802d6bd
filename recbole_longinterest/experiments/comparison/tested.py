"""Test a trained cell: for each choice of the best epoch, rank the test targets with that epoch's checkpoint."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recbole.data.dataset import Dataset
from recbole.utils import init_seed

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.experiments.comparison.jackknife import list_errors
from recbole_longinterest.experiments.comparison.list_ranks import ListRanks
from recbole_longinterest.experiments.comparison.protocol import (
    MASKED,
    METRICS,
    NATIVE,
    PROTOCOLS,
    beyond_accuracy,
    metric_of,
)
from recbole_longinterest.experiments.comparison.recorder import Recorder
from recbole_longinterest.training.pipeline import Trained

AMONG_COLD = {NATIVE: "among_cold", MASKED: "among_cold_masked"}
"""Column of the ranks among cold items, by the protocol that chose the checkpoint."""


@dataclass
class Tested:
    """Ranks of the test targets by every choice of the best epoch.

    Attributes:
        config: RecBole's config.
        chosen: choice -> ``metric``, ``score`` on the validation data, and ``epoch``, from 1.
        recorders: epoch -> the recorded test of its checkpoint; choices of the same epoch share it.
    """

    config: Settings
    chosen: dict[str, dict[str, Any]] = field(default_factory=dict)
    recorders: dict[int, Recorder] = field(default_factory=dict)

    def recorder(self, choice: str) -> Recorder:
        """The recorded test of a choice."""
        return self.recorders[self.chosen[choice]["epoch"]]

    @property
    def candidates(self) -> str | None:
        """SHA-256 of the sampled candidates; None for full ranking."""
        return self.recorder(NATIVE).candidates

    def ranks(self) -> pd.DataFrame:
        """A line per test row, see :meth:`Recorder.table`; each protocol's ranks come from its own checkpoint."""
        table, masked = (self.recorder(protocol).table() for protocol in PROTOCOLS)
        return table.assign(**{MASKED: masked[MASKED], AMONG_COLD[MASKED]: masked["among_cold"]})

    def metrics(self, choice: str, protocol: str) -> dict[str, float]:
        """All metrics of a choice's checkpoint in one protocol."""
        return metrics_of(self.recorder(choice), protocol, self.config)

    def errors(self, protocol: str) -> dict[str, float]:
        """Standard errors over users of a protocol's list properties."""
        return errors_of(self.recorder(protocol), protocol, self.config)


def metrics_of(recorder: Recorder | ListRanks, protocol: str, config: Settings) -> dict[str, float]:
    """Compute all metrics of recorded ranks in one protocol."""
    table, ks = recorder.table(), config["topk"]
    rank, among = table[protocol].to_numpy(), table["among_cold"].to_numpy()
    cold = ~np.isnan(among)
    found = {f"{name}@{k}": float(metric_of(name, rank, k).mean()) for name in METRICS for k in ks}
    found |= beyond_accuracy(recorder.top(protocol), recorder.target_count, ks, config["tail_ratio"] or 0.1)
    for k in ks if cold.any() else ():
        found[f"cold_recall@{k}"] = float((rank[cold] <= k).mean())
        found[f"cold_recall_among_cold@{k}"] = float((among[cold] <= k).mean())
    return found


def errors_of(recorder: Recorder | ListRanks, protocol: str, config: Settings) -> dict[str, float]:
    """Compute the standard errors over users of list properties in one protocol."""
    tail = config["tail_ratio"] or 0.1
    return list_errors(recorder.top(protocol), recorder.users(), recorder.target_count, config["topk"], tail)


def rank_choices(trained: Trained, train: Dataset, config: Settings) -> Tested:
    """Evaluate the checkpoint of every choice on the test data, each epoch once.

    Args:
        trained: the finished training.
        train: the training part.
        config: RecBole's config.

    Raises:
        LongInterestError: if scores are not finite, or RecBole's evaluator gives other values.
    """
    trainer, tested = trained.trainer, Tested(config)
    own = Path(trainer.saved_model_file)
    chosen = [(NATIVE, own, str(config["valid_metric"]).lower(), trained.best_valid_score, trainer.best_epoch)]
    for choice in trainer.choices:
        criterion = choice.criterion
        chosen.append((criterion.name, criterion.file(own), criterion.metric, choice.score, choice.epoch))
    for name, file, metric, score, epoch in chosen:
        tested.chosen[name] = {"metric": metric, "score": score, "epoch": epoch + 1}
        if epoch + 1 in tested.recorders:
            continue
        init_seed(config["seed"], config["reproducibility"])  # sampled candidates are the same for all models
        recorder = Recorder(trained.test_data, train, max(config["topk"]))
        with recorder.watching(trainer):
            reported = trainer.evaluate(trained.test_data, model_file=file, show_progress=False)
        tested.recorders[epoch + 1] = recorder
        _check_reported(reported, tested.metrics(name, NATIVE), recorder.table(), config)
    return tested


def _check_reported(
    reported: Mapping[str, float], own: dict[str, float], ranks: pd.DataFrame, config: Settings
) -> None:
    """Check that ranks without ties give the same metrics as RecBole's evaluator."""
    if ranks["tied"].any():
        return
    allowed = 0.5 * 10 ** -config["metric_decimal_place"] + 1e-6
    for name, value in reported.items():
        if name.split("@")[0] in METRICS and not math.isclose(own[name], value, abs_tol=allowed):
            raise LongInterestError(f"{name} from the ranks is {own[name]}, but RecBole's evaluator gives {value}.")
