"""`recommend --input` and `export-vectors`: here, and by workers of Ray the same."""

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from recbole_longinterest.cli import main
from recbole_longinterest.cli.partitions import Worker, _fitting
from recbole_longinterest.serving.canaries import write_checked
from recbole_longinterest.serving.model_folder import write_folder
from recbole_longinterest.serving.partitions import Batch
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
@pytest.mark.parametrize("command", ["recommend", "recommend --index", "export-vectors"])
def test_workers_of_ray_write_what_one_process_writes(
    given: list[str], command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--index" in command:
        pytest.importorskip("faiss")
        shutil.rmtree(tmp_path / "m")
        write_checked(random_served(n_items=2000), tmp_path / "m", index="ivf")
    words = [*command.split(), *given]
    assert main.main([*words, "here"]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert said == f"{FILES} of {FILES} files written to here: {FILES * USERS} users\n"
    ray = [*words, "ray", "--ray", "--workers", "2", "--cpus-per-worker", "0.5"]
    assert main.main(ray) == 0, capsys.readouterr().err
    assert files(Path("ray")) == files(Path("here")) != {}
    capsys.readouterr()
    next(Path("ray").rglob("1.parquet")).unlink()
    assert main.main(ray) == 0
    assert "1 of 3 files written" in capsys.readouterr().out
    assert files(Path("ray")) == files(Path("here"))


NODES = """
import os, sys
from ray.cluster_utils import Cluster
import ray
from recbole_longinterest.cli import main

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, log_to_driver=False)
assert len(ray.nodes()) == 2
code = main.main(["recommend", *sys.argv[1:], "--ray", "--workers", "2"])  # a CPU each: one on either node
sys.stdout.flush()
os._exit(code)
"""


@pytest.mark.slow
def test_two_nodes_write_what_one_process_writes(
    given: list[str], python: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["recommend", *given, "here"]) == 0, capsys.readouterr().err
    out = python(NODES, *given, "nodes").stdout
    assert f"{FILES} of {FILES} files written to nodes: {FILES * USERS} users" in out
    assert files(Path("nodes")) == files(Path("here")) != {}


def test_another_way_of_searching_is_another_result(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["recommend", *given, "out", "--index"]) == 2
    assert f"{tmp_path / 'm'} has no index. Export the model with --index ivf" in capsys.readouterr().err
    pytest.importorskip("faiss")
    shutil.rmtree(tmp_path / "m")
    write_checked(random_served(n_items=2000), tmp_path / "m", index="ivf")
    assert main.main(["recommend", *given, "out", "--index"]) == 0
    assert main.main(["recommend", *given, "out"]) == 2
    said = capsys.readouterr().err
    assert "was made with another index: True; now it is False. Give another --output" in said


def test_a_worker_on_a_device_writes_what_one_process_writes(given: list[str], tmp_path: Path) -> None:
    batch = Batch(str(tmp_path / "in"), str(tmp_path / "out"))
    done = Worker(str(tmp_path / "m"), "torch", batch, device="cpu")({"name": ["part=1/1.parquet"]})
    assert done == {"name": ["part=1/1.parquet"], "users": [USERS], "error": [""]}
    assert main.main(["recommend", *given, "here"]) == 0
    assert files(tmp_path / "out")["part=1/1.parquet"] == files(Path("here"))["part=1/1.parquet"]


@pytest.mark.parametrize(
    ("asked", "there", "workers"),
    [({}, {"CPU": 2}, 2), ({"workers": 1}, {"CPU": 2}, 1), ({}, {"CPU": 8, "GPU": 1}, 1), ({"workers": 5}, {}, 4)],
)
def test_as_many_workers_as_fit(asked: dict[str, Any], there: dict[str, float], workers: int) -> None:
    args = argparse.Namespace(**{"workers": None, "address": "auto", **asked})
    assert _fitting(args, there, 1, int("GPU" in there), 4) == workers


def test_workers_that_do_not_fit() -> None:
    args = argparse.Namespace(workers=2, address=None)
    with pytest.raises(
        ValueError, match=r"^2 workers of 1 CPU do not fit on this machine\. .* or less --cpus-per-worker"
    ):
        _fitting(args, {"CPU": 1}, 1, 0, 4)
    with pytest.raises(ValueError, match=r"^2 workers of 1 CPU and 1 GPU do not .* or less --gpus-per-worker\.$"):
        _fitting(args, {"CPU": 8}, 1, 1, 4)


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
        (
            ["--gpus-per-worker", "1"],
            "--gpus-per-worker only works with --ray. Add --ray, or leave --gpus-per-worker out.",
        ),
        (
            ["--ray", "--gpus-per-worker", "2"],
            "--gpus-per-worker must be 0 or 1, because a worker uses one GPU; got 2.",
        ),
        (
            ["--ray", "--gpus-per-worker", "1", "--engine", "onnx"],
            "Workers with a GPU need the engine torch; got --engine onnx. Leave --engine out.",
        ),
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
    assert main.main(["recommend", *given[:2], "--history", "h.csv", "--index"]) == 2
    assert "--index only works with --input. Replace --history by --input" in capsys.readouterr().err


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
