"""The lift: a constant that is added to the scores of new items.

A trained item has an ID embedding and transitions of its own, so its scores are higher than those of a new item that
users like as much. The lift makes up for it. It does not change the order of new items among themselves. The export
finds it on the validation part (:mod:`recbole_longinterest.training.lift`), and adding items switches it on.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.state_keys import TRAINED, item_key, item_sources_in

FOUND = "calibrated_lift"  # what the export found: {"lift": 1.5, "cost": 0.009, "events": 610, "items": 166}
LIFT = "lift"  # what the model uses
HIGHEST = 100.0


def found_lift(about: Mapping[str, Any]) -> float:
    """The lift that the export of a model found; 0 if it found none.

    Args:
        about: ``about`` of a served model.
    """
    found = about.get(FOUND)
    return check_lift((found if isinstance(found, Mapping) else {}).get("lift", 0.0))


def used_lift(about: Mapping[str, Any]) -> float:
    """The lift of a model's new items; 0 before any were added."""
    return check_lift(about.get(LIFT, 0.0))


def check_lift(lift: object) -> float:
    """Check a lift.

    Raises:
        LongInterestError: if it is not a number from 0 to 100.
    """
    if isinstance(lift, bool) or not isinstance(lift, (int, float)) or not 0 <= lift <= HIGHEST:
        raise LongInterestError(f"lift must be a number from 0 to {HIGHEST:g}; got {lift!r}.")
    return float(lift)


def items_with_vector(weights: Mapping[str, Tensor], trained: bool) -> Tensor:
    """Internal ids of the items that have a vector of text or another source, int64 [n], ascending.

    Args:
        weights: weights of a network.
        trained: return the items with training events, or those without, which are the new ones.
    """
    present = [weights[item_key(source, "present")] for source in item_sources_in(weights)]
    if not present or TRAINED not in weights:
        return torch.zeros(0, dtype=torch.int64)
    there = torch.stack(present).any(dim=0) & (weights[TRAINED].bool() == trained)
    there[0] = False
    return there.nonzero().flatten()
