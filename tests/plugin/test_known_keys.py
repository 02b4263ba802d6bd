"""A misspelt key: one sentence and an error, wherever it was set; ``strict_keys: False`` goes on."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recbole.config import Config
from recbole.model.general_recommender import BPR
from recbole.quick_start import objective_function, run_recbole

from recbole_longinterest.cli import main
from recbole_longinterest.plugin.known_keys import UnknownKeyError
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter

SENTENCE = (
    "BPR has no setting lerning_rate. Did you mean learning_rate? Remove it, or set strict_keys: False to continue."
)
WRONG = {"lerning_rate": 0.1}


@pytest.fixture
def small(write_dataset: Callable[..., Path]) -> dict[str, Any]:
    data = str(write_dataset("tiny", synthetic_inter()))
    return {"data_path": data, "epochs": 1, "embedding_size": 8, "state": "ERROR", "show_progress": False}


@pytest.fixture
def argv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """A user's script with this text, and its arguments."""

    def set_up(text: str, *arguments: str) -> None:
        (tmp_path / "script.py").write_text(text)
        monkeypatch.setattr(sys, "argv", [str(tmp_path / "script.py"), *arguments])

    return set_up


def test_python_yaml_and_command_line_give_the_same_sentence(
    small: dict[str, Any], argv: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wrong.yaml").write_text("lerning_rate: 0.1\n")
    ways: list[Callable[[], Any]] = [
        lambda: Config("BPR", "tiny", config_dict={**small, **WRONG}),
        lambda: Config("BPR", "tiny", ["wrong.yaml"], small),
        lambda: run_recbole("BPR", "tiny", config_dict={**small, **WRONG}),
        lambda: objective_function({"model": "BPR", "dataset": "tiny", **small, **WRONG}),
        lambda: make_config("BPR", "tiny", config_dict={**small, **WRONG}),
        lambda: make_config("BPR", "tiny", ["wrong.yaml"], small),
    ]
    for way in ways:
        with pytest.raises(UnknownKeyError) as error:
            way()
        assert str(error.value) == SENTENCE
    words = ["run", "-m", "BPR", "-d", "tiny", f"--data_path={small['data_path']}"]
    for more in (["--lerning_rate=0.1"], ["--config_files", "wrong.yaml"]):
        assert main.main([*words, *more]) == 2
        assert capsys.readouterr().err == f"recbole-li: error: {SENTENCE}\n"
    argv("run_recbole('BPR', 'tiny')", "--lerning_rate=0.1")
    with pytest.raises(UnknownKeyError) as error:
        Config("BPR", "tiny", config_dict=small)
    assert str(error.value) == SENTENCE


def test_a_run_that_goes_on_is_told_the_same(small: dict[str, Any]) -> None:
    file = pipeline.run(make_config("BPR", "tiny", config_dict=small)).checkpoint
    with pytest.raises(UnknownKeyError) as error:
        make_config(config_dict={"resume": str(file), **WRONG})
    assert str(error.value) == SENTENCE


def test_strict_keys_false_goes_on_with_a_warning(small: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    for config in (
        Config("BPR", "tiny", config_dict={**small, **WRONG, "strict_keys": False}),
        make_config("BPR", "tiny", config_dict={**small, **WRONG, "strict_keys": "False"}),
    ):
        assert config["lerning_rate"] == 0.1
    assert caplog.text.count("BPR has no setting lerning_rate. Did you mean learning_rate?") == 2


def test_options_of_a_users_own_script_are_none_of_ours(
    small: dict[str, Any], argv: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    argv("parser.add_argument('--config_file')", "--config_file=a.yaml")
    Config("BPR", "tiny", config_dict=small)
    assert not caplog.records
    argv("from options import parser", "--output_folder=x")
    Config("BPR", "tiny", config_dict=small)
    assert "BPR has no setting output_folder." in caplog.text


def test_a_model_may_read_keys_that_no_yaml_names(small: dict[str, Any]) -> None:
    class Mine(BPR):
        def __init__(self, config: Any, dataset: Any) -> None:
            super().__init__(config, dataset)
            self.own = config["temperature_of_mine"]

    config = {**small, "temperature_of_mine": 1, "alias_of_user_id": ["friend_id"], "gamma": 1}
    assert Config(Mine, "tiny", config_dict=config)["temperature_of_mine"] == 1
