"""Fixtures of the tests of updates: a trained checkpoint, and files of new events and items."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.training import pipeline
from tests.training.update.made import items_to, new_events


@pytest.fixture
def parent(small_config: Callable[..., Any]) -> Path:
    run = pipeline.run(small_config(epochs=2))
    assert run.checkpoint is not None
    return run.checkpoint.resolve()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def write(name: str, content: str) -> Path:
        (tmp_path / name).write_text(content)
        return tmp_path / name

    return write


@pytest.fixture
def inter(write: Callable[[str, str], Path]) -> Path:
    return write("new.inter", new_events(range(20, 40), range(15, 25)))


@pytest.fixture
def item(write: Callable[[str, str], Path]) -> Path:
    return write("new.item", items_to(26))
