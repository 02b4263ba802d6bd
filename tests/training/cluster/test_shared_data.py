"""Data that travel as arrays train the same model, and nothing writes to them."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from recbole_longinterest.training import pipeline
from recbole_longinterest.training.cluster.shared_data import loaders_of, make_shared_data
from recbole_longinterest.training.settings import make_config
from tests.conftest import FakeEncoder, synthetic_inter


def arrays_in(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from arrays_in(each)


def test_the_data_are_shared_and_give_the_same_run(
    small_config: Callable[..., Any], fake_encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"epochs": 2, "metric_decimal_place": 12, "item_sources": None}
    whole = pipeline.run(small_config(**settings))
    shared = make_shared_data(small_config(**settings))
    found = list(arrays_in(shared))
    for array in found:
        array.flags.writeable = False  # as Ray's object store gives them
    assert len({id(array) for array in found}) < len(found)  # the parts of the split have one log
    encoded = len(fake_encoder.encoded)

    config = small_config(**settings)
    loaders = loaders_of(config, shared)
    log = loaders[0]._dataset.event_log
    assert all(any(np.shares_memory(values.numpy(), array) for array in found) for values in log.values())
    monkeypatch.setattr(fake_encoder, "encode", None)  # the texts were encoded once
    again = pipeline.run(config, loaders=loaders)
    assert (again.best_valid_result, again.test_result) == (whole.best_valid_result, whole.test_result)
    assert len(fake_encoder.encoded) == encoded


def test_recboles_own_data_sets_are_copied(write_dataset: Callable[..., Any]) -> None:
    given = {"data_path": str(write_dataset("tiny", synthetic_inter())), "embedding_size": 8, "epochs": 1}
    given |= {"show_progress": False, "state": "ERROR", "metric_decimal_place": 12}
    whole = pipeline.run(make_config("BPR", "tiny", config_dict=given))
    config = make_config("BPR", "tiny", config_dict=given)
    shared = make_shared_data(config)
    for array in arrays_in(shared):
        array.flags.writeable = False
    again = pipeline.run(config, loaders=loaders_of(config, shared))
    assert (again.best_valid_result, again.test_result) == (whole.best_valid_result, whole.test_result)
