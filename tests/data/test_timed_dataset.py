"""Exact times of the events in a batch, from the file and from a saved data set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from recbole.data.utils import create_dataset

from recbole_longinterest.data.timed_dataset import HSTUDataset
from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter


@pytest.mark.parametrize("settings", [{}, {"exact_order": None, "one_pass": False}])
def test_a_history_has_the_times_of_its_events_in_every_copy(
    write_dataset: Callable[..., Path], tmp_path: Path, settings: dict[str, Any]
) -> None:
    root = write_dataset("tiny", synthetic_inter())
    given = {"data_path": str(root), "save_dataset": True, "checkpoint_dir": str(tmp_path), "normalize_all": True}
    config = make_config("HSTU", "tiny", config_dict={**given, **settings})
    made, saved = create_dataset(config), create_dataset(config)
    assert type(made) is type(saved) is HSTUDataset and list(tmp_path.glob("tiny-HSTUDataset.pth"))
    raw = pd.read_csv(root / "tiny" / "tiny.inter", sep="\t")
    of_user = {user: sorted(part["timestamp:float"]) for user, part in raw.groupby("user_id:token")}
    for dataset in (made, saved):
        rows = dataset.build()[0].inter_feat[:]
        times = rows["event_time_list"]
        assert times.dtype == torch.float64
        for row in range(len(rows)):
            length = int(rows["item_length"][row])
            user = dataset.id2token("user_id", int(rows["user_id"][row]))
            assert times[row, :length].tolist() == of_user[user][:length] and not times[row, length:].any()
