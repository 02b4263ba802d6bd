"""Read and check the settings of an item source of ``kind: graph``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from recbole_longinterest.common.errors import LongInterestError

MODELS = ("TransE", "DistMult", "ComplEx", "RotatE")
PAIRED = ("ComplEx", "RotatE")  # complex vectors: half of ``dim`` are imaginary parts
KEYS = {"model": None, "dim": 2, "epochs": 1, "seed": 0}  # key -> lowest value, None for no number


@dataclass(frozen=True)
class GraphSettings:
    """Settings of the training of graph vectors.

    Attributes:
        model: one of :data:`MODELS`.
        dim: size of an entity's vector.
        epochs: maximum number of epochs.
        seed: seed of the initial vectors, batches, negatives and held-out triples.
    """

    model: str = "TransE"
    dim: int = 64
    epochs: int = 100
    seed: int = 0


def read_settings(given: Mapping[str, Any], name_of: Callable[[str], str]) -> GraphSettings:
    """Read and check the settings of a source; missing settings get their defaults.

    Args:
        given: settings of the source; only :data:`KEYS` are read.
        name_of: returns the name of a key in messages.

    Raises:
        LongInterestError: if a value is wrong; names the first one.
    """
    settings = GraphSettings(**{key: given[key] for key in KEYS if given.get(key) is not None})
    if settings.model not in MODELS:
        raise LongInterestError(f"{name_of('model')} must be one of {', '.join(MODELS)}; got {settings.model!r}.")
    for key, least in KEYS.items():
        value = getattr(settings, key)
        if least is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise LongInterestError(f"{name_of(key)} must be a whole number of at least {least}; got {value!r}.")
    if settings.model in PAIRED and settings.dim % 2:
        raise LongInterestError(
            f"{name_of('dim')} must be even for {settings.model}, whose vectors are complex; got {settings.dim}."
        )
    return settings
