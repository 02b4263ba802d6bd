"""Align a checkpoint with its data after users were removed: rows of its tables are remapped by token."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
from recbole.config import Config

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.longinterest_dataset import LongInterestDataset
from recbole_longinterest.nn.memory import lend_to_new_items, tables_of
from recbole_longinterest.nn.state_keys import MEMORY, values_key
from recbole_longinterest.nn.table_growth import grow_state, old_ids
from recbole_longinterest.plugin.runs import token_tables
from recbole_longinterest.training.forget.lineage import ForgetError, Member
from recbole_longinterest.training.update.parent import run_in_one_process, tokens_of
from recbole_longinterest.training.update.replay import KeyedDataset, Keys
from recbole_longinterest.training.update.start import check_ranges, grown_tokens

ERASURES = "erasures"  # config key: receipts of the erasures since the training


class Realigned:
    """State of a lineage member for the data without the removed users.

    Args:
        member: a LongInterest checkpoint of the lineage.
        state: content of the checkpoint.
        folder: its complete data set without the users.

    Attributes:
        state: the new content; config and lineage are still the old ones.
        sources: event sources of the new data.
        removed_keys: keys of the removed events.

    Raises:
        ForgetError: if the checkpoint cannot be aligned with the new data.
    """

    def __init__(self, member: Member, state: dict[str, Any], folder: Path) -> None:
        weights = {name: value.cpu() for name, value in state["state_dict"].items()}
        if member.config["model"] != "LongInterest" or member.config["benchmark_filename"]:
            raise ForgetError(
                f"{member.path} cannot be aligned with its new data: that works only for LongInterest trained on a "
                "single .inter file. Retrain it."
            )
        try:
            old, old_train = _built(member.config, member.folder)
            token_tables.check_vocabulary(state, old, member.path, (old.iid_field, *old.token_fields()))
            specs = old_train.event_sources()
            new, new_train = _built(
                member.config, folder, {spec.name: weights.get(values_key(spec.name)) for spec in specs}
            )
            now = new_train.event_sources()
            check_ranges(specs, now)
        except LongInterestError as error:
            raise ForgetError(f"{member.path} cannot be aligned with its new data: {error} Retrain it.") from error
        self.sources = now
        items = old_ids(tokens_of(old, old.iid_field), tokens_of(new, new.iid_field))
        grown = grow_state(weights, items, tokens=grown_tokens(specs, now))
        if f"{MEMORY}followers" in grown:  # recounted without the users
            counted = tables_of(new_train.transitions(grown[f"{MEMORY}followers"].shape[1]))
            grown.update({f"{MEMORY}{name}": table for name, table in counted.items()})
            lend_to_new_items(grown)
        self.state = {
            **state,
            "state_dict": grown,
            token_tables.STATE: token_tables.vocabulary(new_train),
        }
        if isinstance(state.get("optimizer"), dict):
            self.state["optimizer"] = {**state["optimizer"], "state": {}}
        self.removed_keys: Keys = np.setdiff1d(old.log_keys, new.log_keys)


def _built(
    config: Config, folder: Path, values: dict[str, Any] | None = None
) -> tuple[KeyedDataset, LongInterestDataset]:
    """Build a data set from a folder, and its training part; ``values`` override the levels of numbers."""
    config = copy.deepcopy(config)
    levels = {name: value.tolist() for name, value in (values or {}).items() if value is not None}
    config.final_config_dict.update(data_path=str(folder), state="ERROR")
    if values is not None:
        config.final_config_dict.update(rating_levels=levels.pop("rating", None), source_levels=levels or None)
    run_in_one_process(config)
    data = KeyedDataset(config)
    return data, data.build()[0]
