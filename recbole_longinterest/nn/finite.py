"""Check weights for NaN and infinity, before they are written and after they are read.

With such weights every score is NaN, no item can be ranked, and the user would get an empty list of recommendations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError

NAMED = 3  # maximum number of tensors that a message lists


class NotFiniteError(LongInterestError):
    """Weights that hold NaN or infinity."""


@dataclass(frozen=True)
class NotFinite:
    """A tensor that holds NaN or infinity.

    Attributes:
        name: name of the tensor.
        wrong: number of values that are NaN or infinite.
        values: number of all values.
    """

    name: str
    wrong: int
    values: int


def not_finite(weights: Mapping[str, Any]) -> list[NotFinite]:
    """Find the tensors of a state dict that hold NaN or infinity.

    Args:
        weights: tensors by name; integers and values of other types are ignored.
    """
    found = []
    for name, value in weights.items():
        if not isinstance(value, Tensor) or not (value.is_floating_point() or value.is_complex()):
            continue
        if not value.numel() or bool(torch.isfinite(value.detach().sum())):  # NaN or infinity would make the sum so
            continue
        wrong = value.numel() - int(torch.isfinite(value).sum())
        if wrong:  # otherwise only the sum overflowed
            found.append(NotFinite(name, wrong, value.numel()))
    return found


def check_finite(weights: Mapping[str, Any], where: str) -> None:
    """Check that all weights are finite.

    Args:
        weights: tensors by name, such as a state dict.
        where: what holds the weights, for the error: ``f"The checkpoint {path}"``.

    Raises:
        NotFiniteError: if any tensor holds NaN or infinity; the message lists the first ones.
    """
    found = not_finite(weights)
    if not found:
        return
    named = ", ".join(f"{part.name} ({part.wrong:,} of {part.values:,} values)" for part in found[:NAMED])
    more = f" and {len(found) - NAMED} more tensors" if len(found) > NAMED else ""
    raise NotFiniteError(
        f"{where} holds weights that are NaN or infinite, so it cannot rank items: {named}{more}. Train again with a "
        "lower learning_rate or with clip_grad_norm, or take an earlier checkpoint."
    )
