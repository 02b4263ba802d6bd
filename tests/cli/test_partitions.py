"""`recommend --input` and `export-vectors`: here, and by workers of Ray the same."""

from pathlib import Path

import pandas as pd
import pytest

from recbole_longinterest.cli import main
from recbole_longinterest.serving.model_folder import write_folder
from tests.served import random_served
from tests.serving.test_partitions import FILES, USERS, write_histories, write_partitions


@pytest.fixture
def given(tmp_path: Path) -> list[str]:
    write_folder(random_served(), tmp_path / "m")
    write_partitions(tmp_path / "in", pd.read_csv(write_histories(tmp_path / "h.csv", users=FILES * USERS)))
    return ["--model", str(tmp_path / "m"), "--input", str(tmp_path / "in"), "--output"]


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.parquet"))}


@pytest.mark.slow
@pytest.mark.usefixtures("one_ray")
def test_workers_of_ray_write_what_one_process_writes(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("recommend", "export-vectors"):
        assert main.main([command, *given, f"{command}-here"]) == 0, capsys.readouterr().err
        said = capsys.readouterr().out
        assert said == f"{FILES} of {FILES} files written to {command}-here: {FILES * USERS} users\n"
        ray = [command, *given, f"{command}-ray", "--ray", "--workers", "2", "--cpus-per-worker", "0.5"]
        assert main.main(ray) == 0, capsys.readouterr().err
        assert files(Path(f"{command}-ray")) == files(Path(f"{command}-here")) != {}
        capsys.readouterr()
        next(Path(f"{command}-ray").rglob("1.parquet")).unlink()
        assert main.main(ray) == 0
        assert "1 of 3 files written" in capsys.readouterr().out
        assert files(Path(f"{command}-ray")) == files(Path(f"{command}-here"))


def test_a_file_that_cannot_be_read_fails_alone(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in" / "broken.parquet").write_bytes(b"no Parquet")
    assert main.main(["recommend", *given, "out"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("3 of 4 files written to out") and "1 files failed. broken.parquet: " in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--history", "h.csv"], "Give either --history, a file of events, or --input, Parquet files of events."),
        (["--format", "csv"], "With --input the results are Parquet files. Leave --format and --raw out."),
        (["--workers", "2"], "--workers only works with --ray. Add --ray, or leave --workers out."),
    ],
)
def test_options_that_do_not_go_together(
    given: list[str], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["recommend", *given, "out", *arguments]) == 2
    assert capsys.readouterr().err == f"recbole-li: error: {message}\n"


def test_files_need_a_place_for_the_results(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["recommend", *given[:-1]]) == 2
    assert "--input needs --output, the folder or URL of the results." in capsys.readouterr().err
    assert main.main(["recommend", *given[:2], "--history", "h.csv", "--ray"]) == 2
    assert "--ray only works with --input. Replace --history by --input" in capsys.readouterr().err


def test_ctrl_c_says_how_to_go_on(
    given: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from recbole_longinterest.serving import partitions

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(partitions, "do_partition", stop)
    assert main.main(["recommend", *given, "out"]) == 130
    stopped = "recbole-li: stopped; run the same command again to continue with the remaining files.\n"
    assert capsys.readouterr().err == stopped
