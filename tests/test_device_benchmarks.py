"""The benchmarks of a device and of a step's floor run, and what they claim holds on a small scale."""

import csv
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_longinterest.text import encoder as encoder_module
from tests.conftest import PROJECT, FakeEncoder, synthetic_inter, synthetic_item


@pytest.fixture(autouse=True)
def scripts_find_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python does for a script that is run."""
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))


@pytest.mark.slow
def test_a_device_that_computes_what_the_cpu_does(write_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """The whole of it on the CPU: every check, a row for each way, the rest listed; and a check that does not hold."""
    script = PROJECT / "benchmarks" / "gpu.py"
    if not script.is_file():
        pytest.skip("not a checkout")
    root = write_dataset("tiny", synthetic_inter(users=60, items=40, events=20), synthetic_item(40))
    words = f"--device cpu --seconds 0.01 --agree tiny --data tiny,absent --windows 8 --data_path {root} --no-compile"
    command = [sys.executable, str(script), "--output", str(tmp_path / "out"), *words.split()]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = list(csv.DictReader((tmp_path / "out" / "gpu.csv").open()))
    checks = {row["check"]: row for row in rows if row["part"] == "agree"}
    assert {"forward", "loss", "gradients", "evaluation: scores", "streaming", "resume", "nproc 1"} < set(checks)
    assert all(row["holds"] == "True" for row in checks.values())
    measured = [row for row in rows if row["data"] == "tiny" and row["targets_a_second"]]
    assert {(row["model"], row["way"]) for row in measured} >= {
        ("LongInterest", "one pass"),
        *((model, way) for model in ("GRU4Rec", "SASRec") for way in ("one pass", "RecBole")),
    }
    failed = [row["note"] for row in rows if row["data"] == "absent"]
    assert failed and all("There is no data set folder" in note for note in failed)
    assert (tmp_path / "out" / "gpu.md").read_text() == done.stdout


def test_time_that_is_over_and_a_gpu_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import gpu, gpu_agree, gpu_speed

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--output", str(tmp_path), "--device", "cuda"])
    with pytest.raises(SystemExit, match="torch finds no GPU"):
        gpu.main()
    words = "--device cpu --agree none --minutes 0"
    monkeypatch.setattr(sys, "argv", ["gpu.py", *words.split(), "--output", str(tmp_path)])
    assert gpu.main() == 0
    assert "left out: no time: ml-100k 50 LongInterest one pass default False 2048; " in capsys.readouterr().out
    rows = list(gpu.plan(["ml-100k", "zipf-20m"], [50, 200], torch.device("cuda")))
    assert len(set(rows)) == len(rows) and rows[0].data == "ml-100k"
    assert gpu_agree.difference(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])) == 0.5
    assert gpu_agree.difference(torch.tensor([1.0, np.nan]), torch.ones(2)) == float("inf")
    assert gpu_speed.covered([(0.0, 2.0), (1.0, 3.0), (5.0, 6.0)]) == 4.0


@pytest.mark.slow
def test_a_step_beside_its_matrix_products(
    write_dataset: Callable[..., Path],
    fake_encoder: FakeEncoder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every product has its group; the LSTM has two for each event of a window, and four more."""
    script = PROJECT / "benchmarks" / "floor.py"
    if not script.is_file():
        pytest.skip("not a checkout")
    fake_encoder.dim = 64
    monkeypatch.setattr(encoder_module, "TextEncoder", lambda *args, **kwargs: fake_encoder)
    items = ["item_id:token\ttitle:token_seq\tcategories:token_seq\trelease_year:token"]
    items += [f"i{number}\tTitle {number}\tKind{number % 4}\t1990" for number in range(100)]
    log = synthetic_inter(users=60, items=100, events=20)
    root = write_dataset("ml-latest-small", log, "\n".join([*items, ""]))
    words = f"--dataset ml-latest-small --data_path {root} --batches 2 --rounds 1 --profile"
    monkeypatch.setattr(sys, "argv", [str(script), *words.split()])
    with pytest.raises(SystemExit):  # its exit code judges the speed
        runpy.run_path(str(script), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    groups = {cells[1].strip(): cells[2:5] for cells in (line.split("|") for line in lines if line.count("|") == 5)}
    parts = ("item vectors", "fusion", "LSTM", "attention", "output", "logits and loss")
    assert set(parts) < set(groups)
    shares = [float(groups[part][1]) for part in parts]
    assert sum(shares) == pytest.approx(1, abs=0.04)
    assert int(groups["LSTM"][2]) == 2 * 17 + 4  # windows of the longest history but its targets
    assert float(next(line for line in lines if line.startswith("ratio: ")).split()[1]) > 1
    profile = {cells[1].strip(): float(cells[2]) for cells in (line.split("|") for line in lines[-12:])}
    assert "aten::mkldnn_rnn_layer" in profile and 0 < sum(profile.values()) <= 1.001


def test_evaluation_beside_a_product_and_top_k(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = PROJECT / "benchmarks" / "evaluation.py"
    if not script.is_file():
        pytest.skip("not a checkout")
    words = "--users 80 --items 60 --events 500 --repeats 1"
    monkeypatch.setattr(sys, "argv", [str(script), *words.split()])
    with pytest.raises(SystemExit):  # its exit code judges the speed
        runpy.run_path(str(script), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("80 users, 60 items, ")
    assert [line.split(" | ")[0] for line in lines[4:8]] == [
        "| native",
        "| native and seen-masked",
        "| encoding the histories",
        "| matrix product and top-k",
    ]
