"""The command from end to end: a process a cell, what fails is listed, nothing finished is run again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.cli import main
from recbole_longinterest.experiments.comparison import driver
from tests.conftest import synthetic_inter


@pytest.fixture
def arguments(write_dataset: Callable[..., Path], tmp_path: Path) -> list[str]:
    root = write_dataset("tiny", synthetic_inter())
    return [
        *("compare", "--datasets=tiny", f"--data_path={root}", f"--output={tmp_path / 'out'}", "--seeds=1"),
        *("--epochs=1", "--state=WARNING", "--quiet"),
    ]


UNIFORM = "--eval_args={{'split': {{{}}}, 'order': 'TO', 'group_by': 'user', 'mode': 'uni100'}}"


@pytest.mark.slow
def test_cells_run_and_are_not_run_again(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ["--models=GRU4Rec,Pop", "--once=SASRecF,SASRec+text", "--hidden_size=8", "--embedding_size=8"]
    assert main.main([*arguments, *models]) == 1
    out, err = capsys.readouterr()
    for why in (
        "SASRecF, seed 2020: SASRecF reads an item feature, and tiny has no .item column for it.",
        "SASRec+text, seed 2020: SASRec+text needs texts, and tiny has none",
    ):
        assert why in out and f"tiny, {why}" in err
    assert err.startswith("recbole-li: error: 2 rows could not run:")
    files = {path.parent.name.split("-")[0]: path for path in (tmp_path / "out").rglob("result.json")}
    results = {name: json.loads(path.read_text()) for name, path in files.items()}
    assert {name: result["status"] for name, result in results.items()} == {
        **{"GRU4Rec": "finished", "Pop": "finished"},
        **{"SASRecF": "failed", "SASRec+text": "failed"},
    }
    assert results["GRU4Rec"]["peak_memory_mb"] > 100
    assert {"results.csv", "per_user.parquet", "summary.md", "summary.html", "table.tex", "means-tiny.png"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
    written = files["GRU4Rec"].stat().st_mtime_ns
    assert main.main([*arguments, *models]) == 1
    assert capsys.readouterr() == (out, err)
    assert files["GRU4Rec"].stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--models=Pop", "--learning_rat=0.1"], "None of the models has a setting learning_rat"),
        (["--models=Pop", "--datasets=nowhere"], "There is no data set folder"),
        (["--models=Pop", "--tuned-on=nowhere"], "No model has tuned settings for nowhere; there are some for amazon"),
        (["--models=Pop@x"], "must be a model and its window"),
        (["--models=Pop", "--ablations=nothing"], "There is no ablation 'nothing'"),
        (["--models=,"], "compare needs at least one model"),
        (["--models=Pop", "stray"], "stray is not a setting"),
        (["--models=Pop", "--metrics=['MAP','NDCG']", "--valid_metric=MAP@10"], "valid_metric must be one of ndcg, "),
        (["--models=BPR", UNIFORM.format("'LS': 'valid_and_test'")], "draws other candidates for BPR, a general model"),
        (["--models=GRU4Rec", UNIFORM.format("'RS': [0.6, 0.2, 0.2]")], "need a split with one test row per user"),
        (["--models=FM"], "FM is neither a general nor a sequential model"),
        (
            ["--models=GRU4Rec,NoSuchModel", "--once=FM"],
            "no model 'NoSuchModel', neither in RecBole nor in a plugin. FM",
        ),
        (["--models=Pop", "--learning_rat=0.1", "--epoch=1"], "has a setting learning_rat or epoch"),
        (["--models=Pop", "--datasets=nowhere,neither"], "nowhere"),
        (["--models=Pop", "--lists=here.csv"], "--lists must be NAME=FILE, each name once; got 'here.csv'."),
        (["--models=Pop", "--lists=A=x", "--lists=A=y"], "--lists must be NAME=FILE, each name once; got 'A=y'."),
        (["--models=Pop", "--lists=A=x"], "There is no file of lists x (for A)."),
        (["--models=Pop", "--lists-columns=user"], "--lists-columns must be user=COLUMN, each name once; got 'user'."),
        (["--models=Pop", f"--output={__file__}"], "test_compare.py cannot be made (File exists)"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    arguments: list[str], extra: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([*arguments, *extra]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_row_of_ones_own_has_known_settings(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.yaml"
    for text, message in (
        ("wide: {model: GRU4Rec, hidden_siz: 4}", "GRU4Rec does not read hidden_siz, set by the row wide. Remove it."),
        ("- wide", f"{file} must hold `key: value` lines; it holds list."),
        ("wide: {model: NoSuchModel}", "no model 'NoSuchModel'"),
    ):
        file.write_text(text)
        assert main.main([*arguments, "--models=Pop", f"--rows={file}"]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


@pytest.mark.slow
def test_rows_of_ones_own_run_with_their_settings(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.yaml"
    file.write_text("narrow: {model: GRU4Rec, hidden_size: 4}\nno text: {text_features: off, embedding_size: 8}\n")
    assert main.main([*arguments, "--models=", f"--rows={file}"]) == 0
    assert "LongInterest, no text" in capsys.readouterr().out
    cells = [json.loads(path.read_text()) for path in (tmp_path / "out").rglob("result.json")]
    config = {cell["name"]: cell["manifest"]["config"] for cell in cells}
    assert config["narrow"]["hidden_size"] == 4
    assert config["LongInterest, no text"]["text_features"] is False


@pytest.mark.slow
def test_lists_of_another_system_are_a_row(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"u{user},i{item},{item}" for user in range(30) for item in range(20)]
    (tmp_path / "their.csv").write_text("\n".join(["who,item,score", *rows]) + "\n")
    given = [*arguments, "--models=", f"--lists=Theirs={tmp_path / 'their.csv'}", "--lists-columns=user=who"]
    assert main.main(given) == 0
    out = capsys.readouterr().out
    assert "Theirs" in out and "Theirs on tiny: all items are listed, so ranks are exact." in out
    (file,) = (tmp_path / "out").rglob("result.json")
    written = file.stat().st_mtime_ns
    assert main.main(given) == 0 and file.stat().st_mtime_ns == written
    assert json.loads((tmp_path / "out" / "compare.json").read_text())["lists"] == {
        "Theirs": str(tmp_path / "their.csv")
    }


def test_the_split_is_exported_without_a_comparison(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word for word in arguments if not word.startswith("--output")]
    assert main.main(given) == 2
    assert "compare needs --output DIR, the folder for all results." in capsys.readouterr().err
    assert main.main([*given, f"--export-split={tmp_path / 'split'}"]) == 0
    assert f"The split is in {tmp_path / 'split'}; its README.md describes" in capsys.readouterr().out
    assert (tmp_path / "split" / "tiny" / "test.csv").is_file() and not (tmp_path / "out").exists()


def test_a_setting_in_a_file_that_no_model_has_is_refused(
    arguments: list[str], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "my.yaml").write_text("learning_rat: 0.1\nlearning_rate: 0.01\n")
    arguments += ["--models=Pop", f"--config_files={tmp_path / 'my.yaml'}"]
    assert main.main(arguments) == 2
    assert (
        "None of the models has a setting learning_rat. Remove it, or set strict_keys: False" in capsys.readouterr().err
    )
    assert main.main([*arguments, "--strict_keys=False"]) == 0
    assert "None of the models has a setting learning_rat." in [record.message for record in caplog.records]


def test_a_model_with_other_data_stops_the_command(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = driver.settings_of

    def settings_of(variant: Any, dataset: str, given: dict[str, Any], *more: str) -> Any:
        settings, source = real(variant, dataset, given, *more)
        return settings | ({"rm_dup_inter": "first"} if variant.name == "GRU4Rec" else {}), source

    monkeypatch.setattr(driver, "settings_of", settings_of)
    assert main.main([*arguments, "--models=Pop,GRU4Rec"]) == 2
    assert "GRU4Rec has other data than the models before it on tiny: interactions" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("result.json"))  # nothing was trained
