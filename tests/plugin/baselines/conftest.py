"""A small model of any baseline, and data with a planted order."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import recbole.data.utils
import torch
from recbole.utils import get_model, init_seed

from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter

STILL = {"hidden_dropout_prob": 0.0}
OF_MODEL: dict[str, dict[str, Any]] = {
    "gSASRec": {"inner_size": 16, "attn_dropout_prob": 0.0, "negatives": 8},
    "eSASRec": {"inner_size": 16, "attn_dropout_prob": 0.0, "negatives": 8},
    "LRURec": {"state_size": 8, "embedding_dropout_prob": 0.0},
    "HSTU": {"negatives": 8},
}
NEURAL = tuple(OF_MODEL)
SMALL = {"hidden_size": 8, "MAX_ITEM_LIST_LENGTH": 12, "train_batch_size": 10**6, "epochs": 1}


class Built(NamedTuple):
    """A model before training, and RecBole's loaders."""

    config: Any
    model: Any
    train: Any
    valid: Any
    test: Any


def chain(shuffled: bool, users: int = 60, items: int = 12, events: int = 8) -> str:
    """Histories that go around a ring of items, one to the next; shuffled, the next item is any."""
    rng = np.random.default_rng(0)
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    for user in range(users):
        begin = int(rng.integers(items))
        for step in range(events):
            item = int(rng.integers(items)) if shuffled else (begin + step) % items
            lines.append(f"u{user}\ti{item}\t3\t{10**9 + 3600 * step}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def baseline_config(write_dataset: Callable[..., Path]) -> Callable[..., Any]:
    """Config of a small run of a baseline on small data; keywords are settings."""

    def make(name: str, inter: str | None = None, **settings: Any) -> Any:
        root = write_dataset("tiny", inter or synthetic_inter())
        own = {**SMALL, **STILL, **OF_MODEL.get(name, {}), "data_path": str(root), "show_progress": False}
        return make_config(name, "tiny", config_dict={**own, "state": "ERROR", **settings})

    return make


@pytest.fixture
def build(baseline_config: Callable[..., Any]) -> Callable[..., Built]:
    """A baseline before training, whose weights are large enough for changes to show."""

    def make(name: str, inter: str | None = None, **settings: Any) -> Built:
        config = baseline_config(name, inter, **settings)
        init_seed(config["seed"], True)
        parts = recbole.data.utils.data_preparation(config, recbole.data.utils.create_dataset(config))
        init_seed(config["seed"], True)
        model = get_model(name)(config, parts[0]._dataset)
        for weights in model.parameters():
            if weights.dim() > 1:
                torch.nn.init.normal_(weights, std=0.3)
        return Built(config, model, *parts)

    return make
