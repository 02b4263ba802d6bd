"""Histories in benchmark files, which are already split. RecBole reads them as columns of lists."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from recbole.utils import FeatureSource, FeatureType

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.log_checks import check_histories

if TYPE_CHECKING:
    import pandas as pd
    from recbole.data.dataset import SequentialDataset


def set_histories(dataset: "SequentialDataset") -> None:
    """Set the names of the history fields and the lengths, and cut long histories to their last events.

    If ``pads_to_limit`` of the data set is False, histories are not cut.

    Args:
        dataset: the loaded data set; its events are still a table.

    Raises:
        LongInterestError: if the column of item histories is missing, empty in a row or numbered apart from the items,
            or another list has not one value per event of the history.
    """
    events, suffix = dataset.inter_feat, dataset.config["LIST_SUFFIX"]
    items = dataset.iid_field + suffix
    check_histories(events, items)
    if items not in dataset.alias["item_id"]:
        raise LongInterestError(
            f"{items} holds items, but alias_of_item_id does not name it: an item would get different ids in {items} "
            f"and {dataset.iid_field}. Set alias_of_item_id: [{items}]."
        )
    lists = [field + suffix for field in events if field + suffix in events]
    for field in lists:
        setattr(dataset, f"{field.removesuffix(suffix)}_list_field", field)
    length = events[items].map(len).astype("int64")
    if (length == 0).any():
        raise LongInterestError(f"{_place(dataset, length == 0)} has no history: {items} is empty. Remove such rows.")
    for field in dict.fromkeys([*lists, *getattr(dataset, "side_fields", {}).values()]):
        if field not in events:
            continue
        unlike = events[field].map(_length) != length
        if unlike.any():
            raise LongInterestError(
                f"{_place(dataset, unlike)} has {_length(events[field][unlike].iloc[0])} values as {field} and "
                f"{length[unlike].iloc[0]} as {items}. Write one value for each event of the history."
            )
    limit = dataset.config["MAX_ITEM_LIST_LENGTH"]
    if getattr(dataset, "pads_to_limit", True) and len(length) and length.max() > limit:
        dataset.logger.warning(
            f"{int((length > limit).sum())} of {len(length)} histories are longer than MAX_ITEM_LIST_LENGTH: their "
            f"last {limit} events are read. The longest has {length.max()}."
        )
        for field in lists:
            events[field] = [np.asarray(values)[..., -limit:] for values in events[field]]
            dataset.field2seqlen[field] = min(dataset.field2seqlen[field], limit)
        length = length.clip(upper=limit)
    dataset.set_field_property(dataset.item_list_length_field, FeatureType.TOKEN, FeatureSource.INTERACTION, 1)
    events[dataset.item_list_length_field] = length


def _length(values: Sequence[Any]) -> int:
    """Number of events of a list: its last axis. RecBole adds an axis in fields of ``numerical_features``."""
    return int(np.asarray(values).shape[-1])


def _place(dataset: "SequentialDataset", wrong: "pd.Series") -> str:
    """File and row of the first marked event."""
    row = int(np.flatnonzero(wrong.to_numpy())[0])
    for part, size in zip(dataset.benchmark_filename_list, dataset.file_size_list, strict=True):
        if row < size:
            return f"{dataset.dataset_name}.{part}.inter, row {row + 1},"
        row -= size
    raise AssertionError("more rows than the files have")
