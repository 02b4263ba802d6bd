"""Hash events, so that the same event can be found again in another file."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
FACTORS = tuple(
    np.uint64(factor) for factor in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5)
)


def event_keys(users: Keys, items: Keys, times: NDArray[np.floating], behaviors: Keys | None = None) -> Keys:
    """Hash each event's user, item, time and behaviour.

    Args:
        users: :func:`token_keys` of each event's user, [n].
        items: :func:`token_keys` of each event's item, [n].
        times: full-precision time of each event, [n].
        behaviors: :func:`token_keys` of each event's behaviour, [n]; None if the data have no behaviours.

    Returns:
        uint64 [n]. Two different events have the same key with a probability of 2^-64.
    """
    mixed = users * FACTORS[0] + items * FACTORS[1] + pd.util.hash_array(times + 0.0) * FACTORS[2]  # + 0.0: no -0.0
    if behaviors is not None:
        mixed += behaviors * FACTORS[3]
    return pd.util.hash_array(mixed)


def token_keys(tokens: Sequence[str] | NDArray[np.object_]) -> Keys:
    """Hash each token, uint64 [n]."""
    return pd.util.hash_array(np.asarray(tokens, dtype=object), categorize=False)
