"""A source of item vectors from a file of its own stands beside the texts, and holds what they hold."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recbole.config import Config

from recbole_longinterest import export_checkpoint, run
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.item_sources import ITEM_SOURCES, register_item_source, whitened
from recbole_longinterest.nn.sources import ItemMatrix
from recbole_longinterest.serving.recommender import Recommender
from tests.contracts import check_contracts

# --- a source in one file --------------------------------------------------------------------------------------------


class Colours:
    """Random vectors for the items whose number is even, as images would be."""

    def __init__(self, tokens: Sequence[str], width: int) -> None:
        self.tokens, self.width = tokens, width

    def matrix(self) -> ItemMatrix:
        rows = [i for i, token in enumerate(self.tokens) if i and int(token[1:]) % 2 == 0]
        vectors = np.random.default_rng(0).normal(size=(len(rows), 5))
        return whitened(len(self.tokens), rows, vectors, self.width)


def make_colours(config: Settings, settings: Mapping[str, Any], tokens: Sequence[str]) -> Colours:
    return Colours(tokens, settings.get("width", 3))


@pytest.fixture
def colours() -> Any:
    register_item_source("colours", make_colours)
    yield
    ITEM_SOURCES.remove("colours")


# --- what it holds ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("colours")
@pytest.mark.parametrize("settings", [{}, {"text_features": "off"}, {"text_features": "off", "id_features": "off"}])
def test_a_source_of_ones_own(small_config: Callable[..., Config], tmp_path: Path, settings: dict[str, Any]) -> None:
    settings = {"item_sources": {"colours": {"width": 4}}, **settings}
    model = check_contracts(small_config, tmp_path / "model", **settings)
    source = model.network.sources["colours"]
    tokens = model.served.items.tokens
    assert source.present.tolist() == [i > 0 and int(token[1:]) % 2 == 0 for i, token in enumerate(tokens)]
    without = [i for i, there in enumerate(source.present.tolist()) if not there]
    assert torch.equal(source()[without[0]], source.absent) and source.vectors.shape[1] == 4


@pytest.mark.usefixtures("colours")
def test_an_export_needs_no_registered_source(small_config: Callable[..., Config], tmp_path: Path) -> None:
    done = run(small_config(item_sources={"colours": None}))
    assert done.checkpoint is not None
    export_checkpoint(done.checkpoint, tmp_path / "model")
    ITEM_SOURCES.remove("colours")
    try:
        assert "colours" in Recommender.load(tmp_path / "model").network.sources
    finally:
        register_item_source("colours", make_colours)


def test_settings_that_name_no_source(small_config: Callable[..., Config]) -> None:
    with pytest.raises(ValueError, match=r"The name of an item source must be one of .*; got 'images'"):
        run(small_config(item_sources={"images": {}}))
    with pytest.raises(ValueError, match="register_item_source: a source cannot be called 'type'"):
        register_item_source("type", make_colours)
    with pytest.raises(ValueError, match="item_sources must map names to settings"):
        run(small_config(item_sources=["images"]))
    with pytest.raises(ValueError, match="item_sources: text has its own settings"):
        run(small_config(item_sources={"text": {}}))
