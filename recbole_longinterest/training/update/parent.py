"""Load the checkpoint that an update starts from, together with its training data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from recbole.config import Config
from recbole.data.dataset import Dataset

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.item_texts import read_texts
from recbole_longinterest.nn.state_keys import TEXT, item_key
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint
from recbole_longinterest.plugin.runs.places import use_places
from recbole_longinterest.plugin.runs.resume import PLACE
from recbole_longinterest.plugin.runs.token_tables import check_vocabulary
from recbole_longinterest.training.update.merge import hashes
from recbole_longinterest.training.update.replay import KeyedDataset

SHOWN = "shown.npy"  # beside an update's data: keys of all events that were targets in it or in an earlier training


class UpdateError(LongInterestError):
    """An update that cannot be done."""


class Parent:
    """A checkpoint and its training data.

    Args:
        path: the checkpoint.
        named: places that the caller names, see :func:`~recbole_longinterest.plugin.runs.places.use_places`.

    Attributes:
        path: the checkpoint.
        config: of its training.
        weights: its state dict.
        data: its data set.
        tokens: item token of each row of its tables.
        sources: its sources of events.
        trained_keys: keys of the events that were targets of this training or an earlier one of the lineage.

    Raises:
        UpdateError: for another model than LongInterest, benchmark files, ``split_by_time``, or other data than the
            checkpoint's.
    """

    def __init__(self, path: Path, named: Mapping[str, Any]) -> None:
        state = load_checkpoint(path)
        self.path, self.config, self.weights = path, state["config"], dict(state["state_dict"])
        config = self.config
        if config["model"] != "LongInterest":
            raise UpdateError(
                f"{path} is a checkpoint of {config['model']}; LongInterest alone can be updated. "
                "Train one: recbole-li run --model LongInterest"
            )
        if config["benchmark_filename"]:
            raise UpdateError(
                f"{path} was trained on files that are split already (benchmark_filename), which new events cannot "
                "be merged into. Train on one .inter file."
            )
        if config["split_by_time"] is not None:
            raise UpdateError(
                f"{path} was trained with split_by_time, whose catalogue ends where validation begins, so that new "
                "events have no place in it. Train the model that is to be updated without split_by_time."
            )
        use_places(config, named)
        lineage = config["lineage"] or []
        folder = Path(config["data_path"])
        if lineage:
            kept = lineage[-1]["merged"]["sha256"]
            if hashes(folder, config["dataset"], tuple(dict.fromkeys(("inter", "item", *kept)))) != kept:
                raise UpdateError(f"The data in {folder} are not those that {path} was made with, or are not there.")
        run_in_one_process(config)
        self.data = KeyedDataset(config)
        self.tokens = tokens_of(self.data, self.data.iid_field)
        train = self.data.build()[0]  # which reads the users' columns, too
        check_vocabulary(state, self.data, path, (self.data.iid_field, *self.data.token_fields()))
        self.trained_keys, self.sources = train.trained_keys(), train.event_sources()
        before = folder.parent / SHOWN
        if lineage and before.is_file():  # a split by ratios may now hold out events that an earlier training has shown
            self.trained_keys = np.union1d(self.trained_keys, np.load(before, allow_pickle=False))

    def texts(self) -> dict[str, str]:
        """Text of each item that has one, by token."""
        has_texts = item_key(TEXT, "vectors") in self.weights and not self.config["text_vectors"]
        return texts_of(self.config) if has_texts else {}


def tokens_of(data: Dataset, field: str) -> list[str]:
    """Raw token of each internal id of a field."""
    return [str(token) for token in data.field2id_token[field]]


def texts_of(config: Config) -> dict[str, str]:
    """Text of each item that has one in the files of a data set, by token."""
    return read_texts(config, Path(config["data_path"]) / f"{config['dataset']}.item")


def run_in_one_process(config: Config) -> None:
    """Drop the checkpoint's settings of devices and processes, and take this machine's."""
    for name in (*PLACE, "nproc", "world_size", "offset", "group_offset"):
        config.final_config_dict.pop(name, None)
    config._init_device()
