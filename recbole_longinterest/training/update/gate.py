"""The gate of an update: checks that the new weights must pass before the new checkpoint is published."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.trainer.trainer import Trainer
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.printable import printable
from recbole_longinterest.data.event_keys import Keys, token_keys
from recbole_longinterest.nn.finite import NotFiniteError, check_finite
from recbole_longinterest.training.update.panel import PanelRanks
from recbole_longinterest.training.update.parent import UpdateError
from recbole_longinterest.training.update.replay import ReplayDataset

SHARE = 0.95
CANARIES = 12
ROUNDING = 1e-9  # tolerance: in floating point 0.9 * 0.2 > 0.18


@dataclass(frozen=True)
class Gate:
    """Conditions that a new checkpoint must meet to be published.

    The weights must be finite. The canaries, a dozen old users, must get finite scores, and must not all get the same
    list unless the parent gave them all the same list. The other conditions are the attributes:

    Attributes:
        share: the validation metric of old users must be at least this share of the parent's; 0 disables the check.
        max_rank_rise: no item known to the parent may rise by more ranks on the panel; None for no limit.

    Raises:
        LongInterestError: for a share that is not between 0 and 1, or a limit below 0.
    """

    share: float = SHARE
    max_rank_rise: float | None = None

    def __post_init__(self) -> None:
        if not _is_number(self.share) or not 0 <= self.share <= 1:
            raise LongInterestError(
                f"gate must be a share of the parent's validation metric, from 0 to 1; got {self.share!r}."
            )
        if self.max_rank_rise is not None and not (_is_number(self.max_rank_rise) and self.max_rank_rise >= 0):
            raise LongInterestError(
                f"max_rank_rise must be a number of places of at least 0; got {self.max_rank_rise!r}."
            )


@dataclass(frozen=True)
class Judged:
    """The result of the gate.

    Attributes:
        measured: the measured values, as plain data.
        reasons: why the checkpoint fails, as clauses; empty if it passes.
    """

    measured: dict[str, Any]
    reasons: list[str]


def rows_of_old_users(part: ReplayDataset, old_users: Keys) -> NDArray[np.int64]:
    """Select the validation rows of old users: new users must not judge the events that they bring.

    Args:
        part: validation part of the merged data.
        old_users: hashes of the old users' tokens.

    Returns:
        Row numbers.

    Raises:
        UpdateError: if old users have no validation rows.
    """
    rows = np.zeros(0, dtype=np.int64)
    if len(part.inter_feat):
        users = token_keys(part.field2id_token[part.uid_field])[part.inter_feat[part.uid_field].numpy()]
        rows = np.flatnonzero(np.isin(users, old_users))
    if not len(rows):
        raise UpdateError(
            "The gate compares the validation metric of old users, but training has seen all of their validation rows. "
            "Give --gate 0 to check only the weights, the canaries and the ranks."
        )
    return rows


def loader_of(loader: AbstractDataLoader, rows: NDArray[np.int64]) -> AbstractDataLoader:
    """Return a copy of a loader that is restricted to some rows."""
    part = copy.copy(loader._dataset)
    part.inter_feat = part.inter_feat[rows]
    return type(loader)(part.config, part, loader._sampler, shuffle=False)


def validation_metric(trainer: Trainer, loader: AbstractDataLoader, state: Mapping[str, Tensor]) -> float:
    """Evaluate some weights by the training's ``valid_metric``.

    Args:
        trainer: trainer of the model, whose weights are replaced.
        loader: loader of the validation rows.
        state: the weights to evaluate.
    """
    trainer.model.load_state_dict(state)
    result = trainer.evaluate(loader, load_best_model=False, show_progress=False)
    return float(result[trainer.config["valid_metric"].lower()])


def judge(
    gate: Gate,
    weights: Mapping[str, Tensor],
    ranks: tuple[PanelRanks, PanelRanks],
    metric: tuple[str, float, float] | None,
    bigger: bool,
    tokens: list[str],
) -> Judged:
    """Check new weights against the gate.

    Args:
        gate: the conditions.
        weights: the new weights.
        ranks: ranks on the panel with the parent's weights and with the new ones.
        metric: (name, parent's value, new value); None to skip the comparison.
        bigger: whether a bigger metric is better.
        tokens: item tokens by id.
    """
    before, after = ranks
    reasons: list[str] = []
    measured: dict[str, Any] = {"share": gate.share, "max_rank_rise": gate.max_rank_rise}
    try:
        check_finite(weights, "the new checkpoint")
    except NotFiniteError as error:
        reasons.append(str(error).split(". ")[0])
    canaries = after.lists[:CANARIES]
    measured["canaries"] = len(canaries)
    if not after.finite:
        reasons.append("scores of the canaries are NaN or infinite")
    elif len(canaries) > 1 and _all_same(canaries) and not _all_same(before.lists[:CANARIES]):
        reasons.append(f"all {len(canaries)} canaries get the same items, and the parent gave them different ones")
    if metric is not None:
        name, old, new = metric
        measured["metric"] = {"name": name, "parent": old, "new": new}
        low, high = (gate.share * old, new) if bigger else (gate.share * new, old)
        if not high >= low - ROUNDING:  # NaN fails, too
            reasons.append(
                f"{name} of old users is {new:.4f} on the validation rows, but must reach {gate.share:g} of the "
                f"parent's {old:.4f}"
            )
    if gate.max_rank_rise is not None:
        rise = np.nan_to_num(before.mean - after.mean)
        worst = int(rise.argmax())
        measured["largest_rank_rise"] = round(float(rise[worst]), 2)
        if rise[worst] > gate.max_rank_rise:
            reasons.append(
                f"item {printable(tokens[worst])!r} rises from rank {before.mean[worst]:,.0f} to "
                f"{after.mean[worst]:,.0f} for old users, and max_rank_rise is {gate.max_rank_rise:g}"
            )
    measured["passed"] = not reasons
    return Judged(measured, reasons)


def _all_same(lists: np.ndarray) -> bool:
    return bool((lists == lists[:1]).all())


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
