"""Number the tokens of a column in the order in which they appear, as RecBole does."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def ids_of(column: pd.Categorical) -> tuple[NDArray[np.int32], NDArray[np.str_]]:
    """Number the tokens of a column; categories without a row get no number.

    Args:
        column: tokens of the rows, [n].

    Returns:
        Ids from 1 on, 0 for rows without a token, int32 [n]; and the tokens by id, ``[PAD]`` first.
    """
    codes = column.codes
    order = pd.unique(codes)
    order = order[order >= 0]
    id_of = np.zeros(len(column.categories) + 1, dtype=np.int32)  # the last entry is the id of code -1
    id_of[order] = np.arange(1, len(order) + 1)
    return id_of[codes], np.array(["[PAD]", *column.categories.take(order)])
