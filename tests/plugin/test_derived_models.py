"""A model outside the package that derives from LongInterest: settings, data set and trainer are LongInterest's."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_trainer, init_seed

from recbole_longinterest.plugin.longinterest import LongInterest
from tests.conftest import SMALL, FakeEncoder, synthetic_inter, synthetic_item


class OwnInterest(LongInterest):
    """A user's model."""


def trained(model: type | str, root: Path) -> tuple[list[str], dict[str, Any], float]:
    config = Config(model, "tiny", config_dict={**SMALL, "data_path": str(root)})
    dataset = create_dataset(config)
    train, valid, _ = data_preparation(config, dataset)
    init_seed(config["seed"], True)
    made = (OwnInterest if model == "OwnInterest" else model)(config, train.dataset)  # type: ignore[operator]
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, made)
    kinds = [type(each).__name__ for each in (dataset, train, trainer)]
    skipped = ("model", "checkpoint_dir")
    settings = {key: value for key, value in config.final_config_dict.items() if key not in skipped}
    return kinds, settings, trainer.fit(train, valid, verbose=False, saved=False)[0]


def test_it_is_trained_as_its_parent(
    write_dataset: Callable[..., Path], fake_encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_dataset("tiny", synthetic_inter(), synthetic_item())
    expected = trained(LongInterest, root)
    assert expected[0] == ["LongInterestDataset", "OnePassDataLoader", "LongInterestTrainer"]
    assert trained(OwnInterest, root) == expected
    module = ModuleType("recbole.model.sequential_recommender.owninterest")  # where RecBole looks a name up
    module.__spec__, module.OwnInterest = sys.modules[__name__].__spec__, OwnInterest  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert trained("OwnInterest", root) == expected


def test_a_model_of_that_name_that_does_not_derive_is_none_of_ours() -> None:
    from recbole_longinterest.plugin.lookups import is_kin

    assert not is_kin(type("LongInterest", (), {}))
