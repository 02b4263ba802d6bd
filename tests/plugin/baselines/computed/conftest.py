"""A baseline on a small data set, with the training part and the test rows that it is tried on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from recbole.data import create_dataset
from recbole.utils import get_model

from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter


@dataclass
class Made:
    """A model and its data."""

    model: Any
    config: Any
    train: Any
    test: Any

    @property
    def batch(self) -> Any:
        """All test rows."""
        return self.test[:]

    def histories(self) -> dict[int, list[tuple[int, float]]]:
        """Each user's training events, (item, time in seconds); leave-one-out leaves at least one."""
        found: dict[int, list[tuple[int, float]]] = {}
        log = self.train.event_log
        rows = self.train.inter_feat
        last: dict[int, tuple[int, int]] = {}
        for user, begin, place in zip(
            rows["user_id"].tolist(), rows.history_start().tolist(), rows.position.tolist(), strict=True
        ):
            last[user] = (begin, max(place, last.get(user, (0, 0))[1]))
        for user, (begin, end) in last.items():
            items = log["item_id_list"][begin : end + 1].tolist()
            found[user] = list(zip(items, log["timestamp_list"][begin : end + 1].tolist(), strict=True))
        return found


Make = Callable[..., Made]


@pytest.fixture
def made(write_dataset: Callable[..., Path]) -> Make:
    """Make a model; ``inter`` is its log, keywords are settings."""

    def make(name: str, inter: str | None = None, **settings: Any) -> Made:
        root = write_dataset("tiny", inter or synthetic_inter())
        config = make_config(name, "tiny", config_dict={"data_path": str(root), "state": "ERROR", **settings})
        train, _, test = create_dataset(config).build()
        for part in (train, test):
            part.pads_to_limit = False
        return Made(get_model(name)(config, train), config, train, test)

    return make
