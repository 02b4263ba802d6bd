"""Every fix: with all of them a thing works, with this one left out it fails on this stack."""

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.training import processes
from tests.conftest import synthetic_inter
from tests.plugin.fixes import checks as compat_checks
from tests.plugin.fixes.checks import CHECKS, tiny


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Outcomes of all checks, from one process."""
    file = tmp_path_factory.mktemp("fixes") / "report.json"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    program = [sys.executable, compat_checks.__file__, str(file)]
    done = subprocess.run(program, capture_output=True, text=True, env=environment)
    assert file.exists(), done.stderr[-3000:]
    return json.loads(file.read_text())


def test_every_fix_has_a_check(report: Any) -> None:
    assert report["missing"] == []


@pytest.mark.parametrize("name", CHECKS)
def test_works_with_all_fixes(report: Any, name: str) -> None:
    assert report["outcomes"][name][0] == ""


@pytest.mark.parametrize("name", [name for name, (_, _, fails) in CHECKS.items() if fails])
def test_fails_without_the_fix(report: Any, name: str) -> None:
    assert re.search(CHECKS[name][1], report["outcomes"][name][1]), report["outcomes"][name][1][-2000:]


@pytest.fixture
def bpr(tmp_path: Path) -> Callable[..., Any]:
    return tiny


def test_a_command_line_reaches_the_config(bpr: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from recbole_longinterest.plugin.fixes.command_line import command_line

    monkeypatch.setattr(sys, "argv", ["run_recbole.py", "--epochs=9"])
    with command_line(["--epochs=4", "--encoding=a=b=c"]):
        config = bpr("BPR")
    assert (config["epochs"], config["encoding"]) == (4, "a=b=c")
    assert bpr("BPR")["epochs"] == 9


def test_duplicate_arguments_are_an_error(bpr: Callable[..., Any]) -> None:
    from recbole_longinterest.plugin.fixes.command_line import command_line

    with command_line(["--epochs=4", "--epochs=5"]):
        for kind in (SyntaxError, ValueError):  # RecBole's, and what a command catches
            with pytest.raises(kind, match=r"duplicate command line arguments for epochs .*: 4 and 5\."):
                bpr("BPR")
    with command_line(["--epochs=4", "--epochs=4"]):
        assert bpr("BPR")["epochs"] == 4


def test_unused_arguments_are_named(bpr: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    from recbole_longinterest.plugin.fixes.command_line import command_line

    with command_line(["stray", "--flag"]), caplog.at_level(logging.WARNING):
        bpr("BPR")
    assert "command line args [stray --flag] will not be used in RecBole" in caplog.text


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("sasrec", r"There is no model 'sasrec', .*Did you mean SASRec\?"),
        ("longinterest", r"Did you mean LongInterest\?"),
        ("LongIntrest", r"Did you mean LongInterest\?"),
        ("Quux123", r"There is no model 'Quux123', neither in RecBole nor in a plugin\.$"),
    ],
)
def test_wrong_model_names(name: str, match: str) -> None:
    from recbole.utils import get_model

    import recbole_longinterest  # noqa: F401 - registers LongInterest

    with pytest.raises(ValueError, match=match):
        get_model(name)


def test_a_model_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from recbole.utils import get_model

    monkeypatch.setitem(sys.modules, "lightgbm", None)
    monkeypatch.delitem(sys.modules, "recbole.model.exlib_recommender", raising=False)
    with pytest.raises(ValueError, match=r"LightGBM needs the package lightgbm, .*pip install lightgbm"):
        get_model("LightGBM")


@pytest.mark.slow
def test_two_processes_without_gpu(write_dataset: Callable[..., Path]) -> None:
    from recbole.quick_start import run

    import recbole_longinterest  # noqa: F401 - registers

    settings = {"data_path": str(write_dataset("tiny", synthetic_inter())), "epochs": 1, "embedding_size": 8}
    settings |= {"eval_batch_size": 100, "state": "ERROR", "gpu_id": "", "show_progress": False}
    result = run("BPR", "tiny", config_dict=settings, nproc=2, port=str(processes._free_port()))
    assert "recall@10" in result["test_result"]
    assert len(list(Path("saved").glob("BPR-*.pth"))) == 1  # both ranks know one checkpoint


@pytest.mark.slow
@pytest.mark.usefixtures("one_ray")
def test_a_ray_trial_reports_validation_every_epoch(write_dataset: Callable[..., Path], tmp_path: Path) -> None:
    from ray import tune
    from ray.tune.logger import JsonLoggerCallback
    from recbole.quick_start import objective_function

    space = {"model": "BPR", "dataset": "tiny", "epochs": 3, "embedding_size": 8, "state": "ERROR"}
    space |= {"learning_rate": 0.01, "show_progress": False, "checkpoint_dir": str(tmp_path / "saved")}
    space |= {"data_path": str(write_dataset("tiny", synthetic_inter()))}
    here = str(tmp_path)

    def trial(setting: dict[str, Any]) -> Any:
        os.chdir(here)
        return objective_function(setting, None)

    best = tune.TuneConfig(metric="mrr@10", mode="max")
    storage = tune.RunConfig(storage_path=str(tmp_path / "ray"), verbose=0, callbacks=[JsonLoggerCallback()])
    (result,) = tune.Tuner(trial, param_space=space, tune_config=best, run_config=storage).fit()
    frame, last = result.metrics_dataframe, result.metrics
    assert frame["epoch"].tolist()[:3] == [0, 1, 2] and last["mrr@10"] == frame["mrr@10"].max()
    assert last["best_valid_result"].items() <= last.items()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    from recbole.utils import ensure_dir

    (tmp_path / "log").write_text("a file")
    with pytest.raises(
        ValueError, match=r"The folder .*log cannot be made \(File exists\)\. Remove what is in the way"
    ):
        ensure_dir(str(tmp_path / "log"))
