"""`tune` from Python: what differs from the command."""

from collections.abc import Callable
from pathlib import Path

import pytest

from recbole_longinterest import LongInterestError, tune
from tests.conftest import synthetic_inter


@pytest.fixture
def data_path(write_dataset: Callable[..., Path]) -> str:
    return str(write_dataset("tiny", synthetic_inter()))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": 0.5}, r"learning_rate is searched by .*space.yaml and given as 0\.5"),
        (["--learning_rate=0.5"], r"learning_rate is searched by .*space.yaml and given as 0\.5"),
        ({"eval_step": 0}, "eval_step must be at least 1"),
        ({"epochs": -1}, "epochs must be a whole number of at least 0; got -1"),
    ],
)
def test_settings_are_a_mapping_or_words(
    data_path: str, tmp_path: Path, settings: dict[str, object] | list[str], message: str
) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("learning_rate: {choice: [0.1, 0.2]}\n")
    words = isinstance(settings, list)
    given = [*settings, f"--data_path={data_path}"] if words else {**settings, "data_path": data_path}
    with pytest.raises(LongInterestError, match=message):
        tune("BPR", "tiny", output=tmp_path / "out", space=space, settings=given)
    assert not (tmp_path / "out").exists()


def test_a_search_without_trials(tmp_path: Path) -> None:
    with pytest.raises(LongInterestError, match=r"trials must be at least 1; got 0\."):
        tune("GRU4Rec", "ml-100k", output=tmp_path / "out", trials=0)
    assert not (tmp_path / "out").exists()


def test_a_model_without_a_space(data_path: str, tmp_path: Path) -> None:
    with pytest.raises(LongInterestError, match="The plugin has no search space for Pop; give one"):
        tune("Pop", "tiny", output=tmp_path / "out", settings={"data_path": data_path})
