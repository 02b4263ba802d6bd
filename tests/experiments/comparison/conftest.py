"""A comparison's cell on a small data set, run in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.experiments.comparison.cell import Cell
from recbole_longinterest.experiments.comparison.cells import run_cell
from recbole_longinterest.experiments.comparison.variants import settings_of, variant_of
from tests.conftest import FakeEncoder, synthetic_inter, synthetic_item

SMALL = {"epochs": 1, "state": "WARNING", "train_batch_size": 64, "embedding_size": 8, "hidden_size": 8}


@pytest.fixture
def cell(write_dataset: Callable[..., Path], fake_encoder: FakeEncoder, tmp_path: Path) -> Callable[..., Cell]:
    """Make a cell of a row on a small synthetic data set; keywords are settings of every run."""

    def make(name: str, seed: int = 1, run: bool = False, inter: str | None = None, **settings: Any) -> Cell:
        root = write_dataset("tiny", inter or synthetic_inter(), synthetic_item())
        text = {"text_fields": ["title", "class"], "text_dim": 4}
        variant = variant_of(name)
        given, source = settings_of(variant, "tiny", {**SMALL, **text, "data_path": str(root), **settings})
        made = Cell(
            "tiny", name, variant.model, seed, given, variant.change, source, variant.kind, tmp_path / "comparison"
        )
        if run:
            made.folder.mkdir(parents=True, exist_ok=True)
            run_cell(made)
        return made

    return make
