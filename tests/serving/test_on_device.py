"""A copy of the network on a device gives what the network gives; here the device is the CPU."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from recbole_longinterest.serving.on_device import DeviceRecommender
from recbole_longinterest.serving.recommender import Recommender
from tests.served import WITH_MEMORY, random_served, write_histories


@pytest.mark.parametrize("cosine", [False, True])
def test_batches_by_the_copy_are_those_of_the_network(tmp_path: Path, cosine: bool) -> None:
    served = random_served(replace(WITH_MEMORY, logits="cosine" if cosine else "dot", repeat_bias=True))
    model, there = Recommender(served), DeviceRecommender(served, "cpu")
    events = pd.read_csv(write_histories(tmp_path / "h.csv", users=5))
    for options in ({}, {"exclude_seen": "none"}, {"candidates": ["i1", "i2", "i3"], "exclude": ["i2"]}):
        wanted, found = (each.recommend_batch(events, k=5, **options) for each in (model, there))
        pd.testing.assert_frame_equal(found, wanted)
    with torch.no_grad():
        for parameter in there.network.parameters():
            parameter.zero_()  # the batches are the copy's, not those of the network
    pd.testing.assert_frame_equal(there.recommend_batch(events, k=5), model.recommend_batch(events, k=5))
