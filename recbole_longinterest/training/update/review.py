"""Review an update before its checkpoint is written: the intake report and the optional gate."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recbole_longinterest.data.event_keys import Keys, token_keys
from recbole_longinterest.nn.finite import check_finite
from recbole_longinterest.training.pipeline import Trained
from recbole_longinterest.training.update.gate import Gate, judge, loader_of, rows_of_old_users, validation_metric
from recbole_longinterest.training.update.intake import Intake
from recbole_longinterest.training.update.panel import panel_histories, panel_ranks
from recbole_longinterest.training.update.parent import Parent, tokens_of
from recbole_longinterest.training.update.replay import ReplayDataset
from recbole_longinterest.training.update.start import Start


@dataclass(frozen=True)
class Reviewed:
    """The result of a review.

    Attributes:
        report: the intake report with the gate's measurements, as plain data.
        table: one row per item, see :meth:`Intake.table`.
        reasons: why the gate rejects the checkpoint; empty if it passes or without a gate.
    """

    report: dict[str, Any]
    table: pd.DataFrame
    reasons: list[str]


def old_users(parent: Parent) -> Keys:
    """Return the hashes of the parent's user tokens."""
    return token_keys([str(token) for token in parent.data.field2id_token[parent.data.uid_field][1:]])


def review(
    parent: Parent,
    trained: Trained,
    start: Start,
    data: ReplayDataset,
    weights: Mapping[str, Tensor],
    quarantined: dict[str, int],
    gate: Gate | None,
) -> Reviewed:
    """Compare the new weights with the parent's.

    Args:
        parent: parent of the update.
        trained: its training; the weights of its model are replaced.
        start: the start of the training.
        data: the merged data.
        weights: the new state dict.
        quarantined: number of events removed by each cap.
        gate: conditions for the new weights, or None.

    Raises:
        NotFiniteError: without a gate, for NaN or infinite weights.
    """
    if gate is None:
        check_finite(weights, f"The update of {parent.path}")
    model, tokens = trained.trainer.model, tokens_of(data, data.iid_field)
    name, place = parent.config["dataset"], Path(str(data.config["data_path"]))
    panel = panel_histories(data, parent.data.log_keys)
    known = torch.from_numpy(np.isin(token_keys(tokens), token_keys(parent.tokens)))
    known[0] = False
    every = torch.arange(len(tokens)) > 0
    model.load_state_dict(start.state)
    before = panel_ranks(model, panel, known)
    model.load_state_dict(weights)
    after = panel_ranks(model, panel, every)
    intake = Intake(parent.config, Path(parent.config["data_path"]) / f"{name}.inter", place / f"{name}.inter", tokens)
    table = intake.table(before, after)
    report = intake.report(table, len(panel), quarantined)
    if gate is None:
        return Reviewed({**report, "gate": None}, table, [])
    metric = None
    if gate.share:
        loader = loader_of(trained.valid_data, rows_of_old_users(data.validation_part, old_users(parent)))
        values = [validation_metric(trained.trainer, loader, state) for state in (start.state, weights)]
        metric = (str(trained.trainer.config["valid_metric"]), values[0], values[1])
    judged = judge(gate, weights, (before, after), metric, trained.trainer.valid_metric_bigger, tokens)
    return Reviewed({**report, "gate": judged.measured}, table, judged.reasons)
