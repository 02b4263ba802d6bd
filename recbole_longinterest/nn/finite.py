"""One check for NaN and infinity in weights, for everything that writes or reads them.

Scores of such weights are NaN, no item ranks above another, and a user would be told that there is nothing left to
recommend.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError

NAMED = 3  # tensors that a message names


class NotFiniteError(LongInterestError):
    """Weights that hold NaN or infinity."""


@dataclass(frozen=True)
class NotFinite:
    """A tensor that holds NaN or infinity.

    Attributes:
        name: of the tensor.
        wrong: number of its values that are NaN or infinite.
        values: number of all its values.
    """

    name: str
    wrong: int
    values: int


def not_finite(weights: Mapping[str, Any]) -> list[NotFinite]:
    """The tensors of a state dict that hold NaN or infinity.

    Args:
        weights: tensors by name; values of other types and whole numbers are passed over.
    """
    found = []
    for name, value in weights.items():
        if not isinstance(value, Tensor) or not (value.is_floating_point() or value.is_complex()):
            continue
        if not value.numel() or bool(torch.isfinite(value.detach().sum())):  # NaN and infinity would stay in the sum
            continue
        wrong = value.numel() - int(torch.isfinite(value).sum())
        if wrong:  # else the sum was too large
            found.append(NotFinite(name, wrong, value.numel()))
    return found


def check_finite(weights: Mapping[str, Any], where: str) -> None:
    """Check that all weights are finite.

    Args:
        weights: tensors by name, such as a state dict.
        where: what holds them, for the error: ``f"The checkpoint {path}"``.

    Raises:
        NotFiniteError: names the first tensors that hold NaN or infinity.
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
