"""Settings of a source ``kind: graph``, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recbole_longinterest.common.errors import LongInterestError

MODELS = ("TransE", "DistMult", "ComplEx", "RotatE")
PAIRED = ("ComplEx", "RotatE")  # complex vectors: half of the numbers are imaginary parts
KEYS = {"model": None, "dim": 2, "epochs": 1, "seed": 0}  # and the least value of those that are numbers


@dataclass(frozen=True)
class GraphSettings:
    """What determines the vectors, besides the graph.

    Attributes:
        model: one of :data:`MODELS`.
        dim: numbers of a vector.
        epochs: at most.
        seed: of initial vectors, batches, negatives and held-out triples.
    """

    model: str = "TransE"
    dim: int = 64
    epochs: int = 100
    seed: int = 0


def read_settings(given: Mapping[str, Any], where: str) -> GraphSettings:
    """Check the settings of a source; those that it does not have get their defaults.

    Args:
        given: its settings; others than :data:`KEYS` are not read.
        where: what they are called, for messages.

    Raises:
        LongInterestError: for the first bad value.
    """
    settings = GraphSettings(**{key: given[key] for key in KEYS if given.get(key) is not None})
    if settings.model not in MODELS:
        raise LongInterestError(f"{where}model must be one of {', '.join(MODELS)}; got {settings.model!r}.")
    for key, least in KEYS.items():
        value = getattr(settings, key)
        if least is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise LongInterestError(f"{where}{key} must be a whole number of at least {least}; got {value!r}.")
    if settings.model in PAIRED and settings.dim % 2:
        raise LongInterestError(
            f"{where}dim must be even for {settings.model}, whose vectors are complex; got {settings.dim}."
        )
    return settings
