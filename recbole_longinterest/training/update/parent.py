"""Load the checkpoint that an update starts from, together with its training data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from recbole.config import Config
from recbole.data.dataset import Dataset

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.parquet_events import refuse_parquet
from recbole_longinterest.data.item_texts import read_texts
from recbole_longinterest.nn.state_keys import TEXT, item_key
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint
from recbole_longinterest.plugin.runs.places import use_places
from recbole_longinterest.plugin.runs.resumed_settings import PLACE
from recbole_longinterest.plugin.runs.token_tables import check_vocabulary
from recbole_longinterest.training.update.merge import hashes
from recbole_longinterest.training.update.replay import KeyedDataset

SHOWN = "shown.npy"  # beside an update's data: keys of all events that were targets of it or of earlier trainings


class UpdateError(LongInterestError):
    """An update that cannot be run."""


class Parent:
    """A checkpoint and its training data.

    Args:
        path: the checkpoint.
        named: paths given by the caller, see :func:`~recbole_longinterest.plugin.runs.places.use_places`.

    Attributes:
        path: the checkpoint.
        config: config of its training.
        weights: its state dict.
        data: its data set.
        tokens: item token of each row of its tables.
        sources: its event sources.
        trained_keys: keys of the events that were targets of this training or of earlier ones of the lineage.

    Raises:
        UpdateError: for a model other than LongInterest, benchmark files, ``split_by_time``, or data that is not the
            checkpoint's.
    """

    def __init__(self, path: Path, named: Mapping[str, Any]) -> None:
        state = load_checkpoint(path)
        self.path, self.config, self.weights = path, state["config"], dict(state["state_dict"])
        config = self.config
        if config["model"] != "LongInterest":
            raise UpdateError(
                f"{path} is a checkpoint of {config['model']}; only LongInterest can be updated. "
                "Train one: recbole-li run --model LongInterest"
            )
        if config["benchmark_filename"]:
            raise UpdateError(
                f"{path} was trained on files that are already split (benchmark_filename); new events cannot be merged "
                "into them. Train on one .inter file."
            )
        if config["split_by_time"] is not None:
            raise UpdateError(
                f"{path} was trained with split_by_time, whose catalogue ends where validation begins, so new events "
                "cannot be added. To update a model, train it without split_by_time."
            )
        use_places(config, named)
        lineage = config["lineage"] or []
        folder = Path(config["data_path"])
        if lineage:
            kept = lineage[-1]["merged"]["sha256"]
            if hashes(folder, config["dataset"], tuple(dict.fromkeys(("inter", "item", *kept)))) != kept:
                raise UpdateError(f"The data in {folder} is missing, or is not the data that {path} was made with.")
        refuse_parquet(folder, config["dataset"], "An update")
        run_in_one_process(config)
        self.data = KeyedDataset(config)
        self.tokens = tokens_of(self.data, self.data.iid_field)
        train = self.data.build()[0]  # also reads the user columns
        check_vocabulary(state, self.data, path, (self.data.iid_field, *self.data.token_fields()))
        self.trained_keys, self.sources = train.trained_keys(), train.event_sources()
        before = folder.parent / SHOWN
        if lineage and before.is_file():  # a ratio split may now hold out events of an earlier training
            self.trained_keys = np.union1d(self.trained_keys, np.load(before, allow_pickle=False))

    def texts(self) -> dict[str, str]:
        """Return the item texts of the training by token, without items that have no text."""
        has_texts = item_key(TEXT, "vectors") in self.weights and not self.config["text_vectors"]
        return texts_of(self.config) if has_texts else {}


def tokens_of(data: Dataset, field: str) -> list[str]:
    """Return the raw token of each internal id of a field."""
    return [str(token) for token in data.field2id_token[field]]


def texts_of(config: Config) -> dict[str, str]:
    """Read the item texts of a data set by token, without items that have no text."""
    return read_texts(config, Path(config["data_path"]) / f"{config['dataset']}.item")


def run_in_one_process(config: Config) -> None:
    """Replace the checkpoint's settings of devices and processes by this machine's."""
    for name in (*PLACE, "nproc", "world_size", "offset", "group_offset"):
        config.final_config_dict.pop(name, None)
    config._init_device()
