"""The commands: results on the terminal, one sentence and exit code 2 for what is wrong."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import recbole_longinterest
from recbole_longinterest.cli import main
from recbole_longinterest.cli.arguments import add_config_files, config_files_of
from recbole_longinterest.training import pipeline
from tests.conftest import FakeEncoder, synthetic_inter, synthetic_item


@pytest.fixture
def arguments(write_dataset: Callable[..., Path], fake_encoder: FakeEncoder) -> list[str]:
    root = write_dataset("tiny", synthetic_inter(), synthetic_item())
    return [
        *("run", "--dataset=tiny", f"--data_path={root}", "--text_fields=['title']", "--text_dim=4", "--epochs=1"),
        *("--show_progress=False", "--state=ERROR"),
    ]


def test_run_prints_validation_and_test_and_saves(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(arguments) == 0
    out = capsys.readouterr().out
    assert "request_time" not in out and "LongInterest on tiny" in out and "ndcg@10" in out and "validation" in out
    checkpoint = Path(out.split("checkpoint: ")[1].strip())
    assert checkpoint.is_file()


def test_run_takes_any_recbole_model(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    settings = [argument for argument in arguments if "text" not in argument]
    columns = "--load_col={'inter': ['user_id', 'item_id', 'timestamp']}"
    assert main.main([*settings, "--model=GRU4Rec", columns]) == 0
    assert "GRU4Rec on tiny" in capsys.readouterr().out


def test_a_split_without_a_test_part_ends_with_its_checkpoint(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    only = "--eval_args={'split': {'LS': 'valid_only'}, 'order': 'TO', 'mode': 'full'}"
    assert main.main([*arguments, only, "--request_time=True"]) == 0
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if line.startswith("ndcg@10"))
    assert "request_time is on: the model reads the time of every target" in out
    assert line.split()[2] == "-" and 0 <= float(line.split()[1]) <= 1
    assert Path(out.split("checkpoint: ")[1].strip()).is_file()
    every = "--eval_args={'split': {'RS': [1, 0, 0]}, 'order': 'TO', 'group_by': 'user', 'mode': 'full'}"
    assert main.main([*arguments, every, "--eval_step=0"]) == 0
    assert "the split has no rows to validate or test on\ncheckpoint: " in capsys.readouterr().out


def test_config_files_may_have_spaces_and_be_several(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_config_files(parser)
    for name in ("one file.yaml", "a.yaml", "b.yaml"):
        (tmp_path / name).write_text("epochs: 1\n")

    def read(*words: str) -> list[str]:
        return config_files_of(parser.parse_args(words))

    assert read() == [] == read("--config_files", "")
    assert read("--config_files", "one file.yaml") == ["one file.yaml"] == read("--config_files=one file.yaml")
    assert read("--config_files", "a.yaml b.yaml") == ["a.yaml", "b.yaml"]  # RecBole's way
    repeated = read(
        "--config_files", "b.yaml", "--config_files", "one file.yaml", "--config_files", "a.yaml missing.yaml"
    )
    assert repeated == ["b.yaml", "one file.yaml", "a.yaml", "missing.yaml"]


def test_config_files_then_command_line(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def stop(config: Any) -> None:
        seen.update(config.final_config_dict)
        raise ValueError("seen")

    monkeypatch.setattr(pipeline, "run", stop)
    (tmp_path / "a.yaml").write_text("hidden_size: 32\nembedding_size: 24\n")
    (tmp_path / "b.yaml").write_text("embedding_size: 16\nmodel: LongInterest\n")
    files = f"--config_files={tmp_path / 'a.yaml'} {tmp_path / 'b.yaml'}"
    assert main.main([*arguments, files, "--hidden_size=8"]) == 2
    assert (seen["hidden_size"], seen["embedding_size"], seen["text_dim"]) == (8, 16, 4)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--model=SASRek"], "SASRec"),
        (["--model=longinterest"], "LongInterest"),
        (["--dataset=nowhere"], "There is no data set folder"),
        (["--model=BPR", "--one_pass=True"], "BPR has no setting one_pass."),
        (["--learning_rat=0.1"], "LongInterest has no setting learning_rat. Did you mean learning_rate?"),
        (["--model=BPR", "--text_dim=4"], "BPR has no setting text_dim."),
        (["--model=BPR", "--target_behavior=buy"], "BPR has no setting target_behavior."),
        (["--dataset="], "dataset must be a name; got ''."),
        (["--dataset=tiny/"], "dataset must be a name; got 'tiny/'."),
        (["--tail_ratio=x"], "tail_ratio must be a number of at least 0; got 'x'."),
        (["--USER_ID_FIELD=usr"], "tiny.inter has no column usr, or load_col leaves it out. The columns read are"),
        (["--clip_grad_norm=5"], "TypeError: "),
        (["--topk=[10,22]"], "topk must be at most 21 for the 20 items of tiny; got 22."),
        (["--hidden_size=big"], "hidden_size must be a whole number of at least 1; got 'big'"),
        (["--nproc=0"], "nproc must be a whole number of at least 1; got 0"),
        (["--epochs=-1"], "epochs must be a whole number of at least 0; got -1"),
        (["--learning_rate=fast"], "learning_rate must be a number of at least 0; got 'fast'"),
        (["--hidden_size", "8"], "write --key=value"),
        (["--config_files=none.yaml"], "There is no config file none.yaml"),
        (["--text_pooling=max"], "text_pooling must be one of mean, cls, last; got 'max'"),
        (["--text_encoder=/no/such/folder"], "/no/such/folder"),
        (["--valid_metric=NDGC@10"], "NDGC@10"),
        (["--metrics=['Fairness']"], "There is no metric named 'Fairness'"),
    ],
)
def test_what_is_wrong_gets_one_sentence_and_exit_code_2(
    arguments: list[str], extra: list[str], message: str, capsys: pytest.CaptureFixture[str], request: Any
) -> None:
    if "text_pooling" in extra[0] or "text_encoder" in extra[0]:
        request.getfixturevalue("monkeypatch").undo()  # the real encoder class checks these
    named = {argument.split("=")[0] for argument in extra}
    if "--model=BPR" in extra:
        named |= {"--text_fields", "--text_dim"}
    assert main.main([argument for argument in arguments if argument.split("=")[0] not in named] + extra) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.strip().count("\n") == 0 and captured.err.startswith("recbole-li: error: ")


@pytest.mark.parametrize("content", ["- a list\n", "a: [unclosed\n", "\xff"])
def test_a_config_file_that_is_none(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.yaml"
    file.write_bytes(content.encode("latin-1"))
    assert main.main(["run", f"--config_files={file}"]) == 2
    assert "bad.yaml" in capsys.readouterr().err


def test_version_names_what_results_depend_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recbole_longinterest.common.version.MATTER", ("recbole", "no-such-package"))
    with pytest.raises(SystemExit, match="0"):
        main.main(["--version"])
    first, python, *others = capsys.readouterr().out.splitlines()
    assert first == f"recbole-li {recbole_longinterest.__version__}" and python.startswith("python 3.")
    assert others == ["recbole 1.2.1", "no-such-package not installed"]


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, expected in ((["--version"], recbole_longinterest.__version__), (["run", "--help"], "--config_files")):
        with pytest.raises(SystemExit) as stop:
            main.main(argv)
        assert stop.value.code == 0
        assert expected in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main.main(["fly"])
    assert stop.value.code == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["serve", "m", "--rate", "fast"], "argument --rate: must be a number of at least 0; got 'fast'"),
        (["serve", "m", "--rate", "nan"], "argument --rate: must be a number of at least 0; got 'nan'"),
        (["tune", "--output", "o", "--cpus-per-trial=-1"], "must be a number of at least 0; got '-1'"),
    ],
)
def test_an_amount_is_a_number(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main.main(words)
    assert message in capsys.readouterr().err


def test_encode_needs_ray_for_an_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["encode", "--address", "auto"]) == 2
    assert "--address only works with --ray. Add --ray, or leave --address out." in capsys.readouterr().err
