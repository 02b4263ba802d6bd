"""The benchmarks run, and what they claim holds on a small scale."""

import csv
import json
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recbole_longinterest.text import encoder as encoder_module
from tests.conftest import PROJECT, FakeEncoder, synthetic_inter, synthetic_item
from tests.data.graph.planted import write_graph


@pytest.fixture(autouse=True)
def scripts_find_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python does for a script that is run."""
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))


def test_ndcg_of_ranks_with_ties_and_without_a_figure() -> None:
    from benchmarks.common import ndcg, ranks_among

    scores = torch.tensor([[3.0, 1.0, 1.0, 0.0], [0.0, 2.0, 5.0, 1.0]])
    ranks = ranks_among(scores, torch.tensor([[1.0], [0.0]]))
    assert ranks.tolist() == [2.5, 4.0]
    gains = ndcg([1, 3, 10, 11, np.inf, np.nan, *ranks])
    assert gains[:2].tolist() == [1.0, 0.5] and gains[2] == pytest.approx(1 / np.log2(11))
    assert gains[3] == gains[4] == 0 and np.isnan(gains[5])
    assert gains[6:].tolist() == pytest.approx([1 / np.log2(3.5), 1 / np.log2(5)])
    assert ndcg([2.0], k=1).tolist() == [0.0]


@pytest.mark.slow
@pytest.mark.integration
def test_encoding_beside_a_plain_loop(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    script = PROJECT / "benchmarks" / "encode.py"
    if not script.is_file():
        pytest.skip("not a checkout")
    words = "--texts 400 --chunk 100 --plain-share 0.1"
    monkeypatch.setattr(sys, "argv", [str(script), *words.split()])
    with pytest.raises(SystemExit):  # its exit code judges the speed
        runpy.run_path(str(script), run_name="__main__")
    out = capsys.readouterr().out
    assert "400 synthetic titles, at most 128 tokens" in out and "a random sample of 40 of these titles" in out
    ours, plain, ratio = (float(out.rpartition(name)[2].split()[0]) for name in ("ours:", "plain:", "ratio:"))
    assert ratio == pytest.approx(ours / plain, rel=0.05)


@pytest.mark.slow
@pytest.mark.integration
def test_encoding_beside_other_libraries(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Their vectors are ours, those of int8 nearly."""
    for package in ("sentence_transformers", "onnxruntime", "onnx"):
        pytest.importorskip(package)
    script = PROJECT / "benchmarks" / "encode.py"
    if not script.is_file():
        pytest.skip("not a checkout")
    words = "--texts 40 --chunk 20 --plain-share 0.1 --against"
    monkeypatch.setattr(sys, "argv", [str(script), *words.split()])
    with pytest.raises(SystemExit):  # its exit code judges the speed
        runpy.run_path(str(script), run_name="__main__")
    out = capsys.readouterr().out
    assert out.count(" texts/s") == 5 and "different vectors" not in out
    assert 0.9 < float(out.rpartition("with onnxruntime int8: ")[2]) < 1


@pytest.mark.slow
def test_preparing_takes_little_memory(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """And a pipeline of polars writes the same rows."""
    pytest.importorskip("polars")
    script = PROJECT / "benchmarks" / "prepare.py"
    if not script.is_file():
        pytest.skip("not a checkout")
    monkeypatch.setattr(sys, "argv", [str(script), "--rows", "300000", "--milliseconds", "--against", "polars"])
    with pytest.raises(SystemExit):  # its exit code judges the speed, in which the start of Python weighs here
        runpy.run_path(str(script), run_name="__main__")
    out = capfd.readouterr().out
    assert "milliseconds: 300,000" in out and "300,000 rows, " in out
    assert float(out.rpartition(" GB at the peak")[0].split()[-1]) < 2 and "\npolars: " in out


@pytest.fixture
def learn(
    write_dataset: Callable[..., Path],
    fake_encoder: FakeEncoder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., str]:
    """Runs a benchmark of learning over time on a small log; returns what it printed."""
    fake_encoder.dim = 64
    monkeypatch.setattr(encoder_module, "TextEncoder", lambda *args, **kwargs: fake_encoder)
    names = "item_id:token\ttitle:token_seq\tcategories:token_seq\trelease_year:token"
    items = [f"i{number}\tTitle {number}\tKind{number % 4}\t{1990 + number % 9}" for number in range(100)]
    log = synthetic_inter(users=60, items=100, events=20)
    root = write_dataset("ml-latest-small", log, "\n".join([names, *items, ""]))

    def run(name: str, *words: str) -> str:
        script = PROJECT / "benchmarks" / f"{name}.py"
        if not script.is_file():
            pytest.skip("not a checkout")
        given = ["--dataset", "ml-latest-small", "--data_path", str(root), "--output", "out", "--epochs", "2"]
        monkeypatch.setattr(sys, "argv", [str(script), *given, *words])
        runpy.run_path(str(script), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_a_graph_against_random_vectors(
    write_dataset: Callable[..., Path],
    fake_encoder: FakeEncoder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The control has a vector of the same size for the same items, and each row reads what it says."""
    script = PROJECT / "benchmarks" / "knowledge_graph.py"
    if not script.is_file():
        pytest.skip("not a checkout")
    pytest.importorskip("torch_geometric")
    from recbole_longinterest.training import pipeline

    fake_encoder.dim = 64
    root = write_dataset("tiny", synthetic_inter(), synthetic_item())
    write_graph(root / "tiny", "tiny")
    (root / "tiny" / "prepare.yaml").write_text("text_fields: [title]\n")
    words = ["--dataset", "tiny", "--data_path", str(root), "--output", "out", "--dim", "4", "--seeds", "1"]
    monkeypatch.setattr(sys, "argv", [str(script), *words, "--epochs", "1", "--graph-epochs", "2"])
    read: list[dict[str, int]] = []
    run = pipeline.run

    def watched(config: Any) -> Any:
        done = run(config)
        state = torch.load(done.checkpoint, weights_only=True)["state_dict"]
        masks = [name for name in state if re.fullmatch(r"item_sources\..*\.present", name)]
        read.append({name.split(".")[1]: int(state[name].sum()) for name in masks})
        return done

    monkeypatch.setattr(pipeline, "run", watched)
    for _ in range(2):
        runpy.run_path(str(script), run_name="__main__")
    first, again = np.array_split(capsys.readouterr().out.splitlines(), 2)
    assert first.tolist() == again.tolist() and first[0].startswith("tiny: 16 linked items, vectors of 4 numbers")
    names = [line.split(" | ")[0] for line in first[4:]]
    assert names == ["| text", "| text and graph", "| text and random", "| graph", "| random", "| neither"]
    assert read == [
        {"text": 20},
        {"text": 20, "graph": 16},
        {"text": 20, "random": 16},
        {"graph": 16},
        {"random": 16},
        {},
    ]
    tokens = Path("out/tiny/random.txt").read_text().split()
    assert np.load("out/tiny/random.npy").shape == (16, 4) and sorted(tokens) == sorted(f"i{n}" for n in range(16))


@pytest.mark.slow
def test_updates_against_retraining(learn: Callable[..., str]) -> None:
    updates = ["--update", "update", "epochs=1", "--update", "fine tuning", "scope=all", "replay=0", "epochs=1"]
    out = learn("incremental", *updates, "--steps", "2")
    rows = list(csv.DictReader(Path("out/ml-latest-small/incremental.csv").read_text().splitlines()))
    ways = {row["way"] for row in rows}
    assert ways == {"none", "new items", "counts", "update", "fine tuning", "retrain"}
    figures = {(row["users"], row["step"], row["way"]): float(row["ndcg@10"]) for row in rows}
    seconds = {row["way"]: float(row["training_seconds"]) for row in rows if row["step"] == "2"}
    assert min(seconds["update"], seconds["retrain"]) > 0 and f"{figures['all', 'all', 'update']:.4f}" in out
    ranks = [np.load(f"out/ml-latest-small/{way}-2.npy") for way in ("none", "update")]
    assert np.array_equal(np.isnan(ranks[0]), np.isnan(ranks[1])) and not np.array_equal(*ranks)
    counts = json.loads(Path("out/ml-latest-small/counts-2.json").read_text())
    assert counts["observed"] > 0 and not np.array_equal(
        *(np.load(f"out/ml-latest-small/{way}-2.npy") for way in ("new-items", "counts"))
    )
    assert learn("incremental", *updates, "--steps", "2") == out  # from its cells


@pytest.mark.slow
def test_items_held_out_of_training(learn: Callable[..., str]) -> None:
    lines = learn("cold_items", "--seeds", "2", "--id_dropout=0.2").splitlines()
    assert lines[0].startswith("ml-latest-small: 10 cold items of 100, 2 seed(s)")
    rows = {cells[1].strip(): cells[2].split() for cells in (line.split("|") for line in lines if "|" in line)}
    ours = {"LongInterest", "LongInterest, calibrated lift", "LongInterest, boost 1.5"}
    assert ours | {"random", "popularity of categories", "GRU4Rec"} < set(rows)
    assert float(rows["random"][0]) == 1  # ten of ten
    assert "LongInterest, calibrated lift against nearest text to the last" in "".join(lines)
    costs = [line for line in lines if line.startswith("NDCG@10 of the last events on trained items, ")]
    assert len(costs) == 3 and costs[0].endswith("(+0.0%)") and lines[-1].startswith("lifts found: ")


@pytest.mark.slow
def test_items_held_out_of_an_adapted_encoder_too(learn: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    from recbole_longinterest.training.adapting import job

    def adapt(config: Any, output: Path, settings: Any) -> None:
        log = Path(config["data_path"], "ml-latest-small.inter").read_text().splitlines()
        assert len({line.split("\t")[1] for line in log[1:]}) == 90  # no event on a cold item
        assert settings.layers == 1 and config["eval_args"]["split"] == {"LS": "valid_and_test"}
        output.mkdir()

    monkeypatch.setattr(job, "adapt_encoder", adapt)
    lines = learn("cold_items", "--adapt", "1").splitlines()
    rows = {line.split("|")[1].strip() for line in lines if "|" in line}
    nearest = {f"nearest text to the last{more}" for more in ("", " 10", ", adapted encoder", " 10, adapted encoder")}
    assert nearest | {"LongInterest, adapted encoder"} < rows
    assert "LongInterest, adapted encoder against nearest text to the last" in "".join(lines)


def test_counting_transitions(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    script = PROJECT / "benchmarks" / "transitions.py"
    if not script.is_file():
        pytest.skip("not a checkout")
    monkeypatch.syspath_prepend(str(script.parent))
    monkeypatch.setattr(sys, "argv", [str(script), "--events", "300,3000", "--items", "50", "--repeats", "1"])
    runpy.run_path(str(script), run_name="__main__")
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0] for row in rows] == ["| 300", "| 3,000"] and all(float(row[1]) >= 0 for row in rows)


@pytest.mark.slow
def test_a_stream(learn: Callable[..., str]) -> None:
    learn("stream", "--days", "1")
    out = learn("stream", "--days", "2")  # goes on
    rows = list(csv.DictReader(Path("out/ml-latest-small/stream.csv").read_text().splitlines()))
    times = [float(row["time"]) for row in rows]
    assert times == sorted(times) and len({int(time // 86_400) for time in times}) == 2
    assert f"{sum(row['frozen'] != 'nan' for row in rows):,} events: NDCG@10 frozen" in out
    assert [row["frozen"] for row in rows] != [row["counting"] for row in rows]
    whole = Path("out/ml-latest-small/stream.csv").read_bytes()
    shutil.rmtree("out")
    learn("stream", "--days", "2")  # what the memory counted on the first day is counted again where a run goes on
    assert Path("out/ml-latest-small/stream.csv").read_bytes() == whole
    assert Path("out/ml-latest-small/stream.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.slow
def test_choices_by_either_protocol(learn: Callable[..., str]) -> None:
    given = "--models", "GRU4Rec", "--seeds", "1"
    out = learn("masked_choice", *given)
    (file,) = Path("out").rglob("chosen.json")
    best = json.loads(file.read_text())
    assert best["seen-masked"]["validation"] >= 0 and {best[kind]["epoch"] for kind in best} <= {1, 2}
    assert f"| GRU4Rec | {best['native']['test']:.4f} | {best['seen-masked']['test']:.4f} (" in out
    assert learn("masked_choice", *given) == out  # from its file


@pytest.mark.slow
def test_latency_of_each_engine_beside_recboles_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It runs with the options of today, and looks at each case; how long they take is not asked."""
    script = PROJECT / "benchmarks" / "latency.py"
    if not script.is_file():
        pytest.skip("not a checkout")
    words = f"--output {tmp_path} --catalogues 50 --histories 3 --repeats 2 --engines torch"
    monkeypatch.setattr(sys, "argv", [str(script), *words.split()])
    runpy.run_path(str(script), run_name="__main__")
    rows = list(csv.DictReader((tmp_path / "latency.csv").open()))
    assert {row["model"] for row in rows} == {"LongInterest, torch", "SASRec", "GRU4Rec"}
    assert "| 50 | 3 | update + top 10 | SASRec |" in capsys.readouterr().out


def test_the_index_beside_all_scores(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It finds the items of all scores, under every kind of rules; how long that takes is not asked."""
    pytest.importorskip("faiss")
    script = PROJECT / "benchmarks" / "index.py"
    if not script.is_file():
        pytest.skip("not a checkout")
    monkeypatch.setattr(sys, "argv", [str(script), "--items", "600", "--queries", "25", "--kinds", "ivf"])
    threads = torch.get_num_threads()
    runpy.run_path(str(script), run_name="__main__")
    torch.set_num_threads(threads)
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[2] for row in rows[:5]] == [row[2] for row in rows[5:]] and len(rows) == 10
    assert all(float(row[3]) >= 0.97 for row in rows)


@pytest.mark.slow
def test_the_figures_of_the_service(tmp_path: Path) -> None:
    """It runs, and has a line for every figure; what they are is not asked, but that no event is lost."""
    script = PROJECT / "benchmarks" / "service.py"
    if not script.is_file():
        pytest.skip("not a checkout")
    words = "--items 60 --users 20 --active 5 --million 40 --asking 20 --kills 1 --seconds 0.3 --soak 0.06"
    command = [sys.executable, str(script), "--output", str(tmp_path), *words.split()]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = {row["figure"]: row for row in csv.DictReader((tmp_path / "service.csv").open())}
    text = (tmp_path / "service.md").read_text()
    assert done.stdout.endswith(text) and text.count("\n") == len(rows) + 2
    bars = {">= 800", "< 25", ">= 3", ">= 3,000", "0", "< 5", "flat (< 5)", "no growth (< 3)", "no growth (< 2)"}
    assert {row["bar"] for row in rows.values()} - {""} == bars
    kills = "kill -9 under load, 1 times: "
    assert float(rows[f"{kills}acknowledged events"]["value"]) > 0
    assert rows[f"{kills}of these lost"]["holds"] == rows[f"{kills}of these wrong"]["holds"] == "True"
    given = ["--service", str(tmp_path / "service.csv"), "--price", "1"]
    command = [sys.executable, str(script.with_name("capacity.py")), *given]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert table.count("not measured yet") == (not any(row.startswith("PostgreSQL") for row in rows))


def test_a_load_that_a_server_keeps_up_with(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import load

    def served(port: int, ask: object, rate: float, seconds: float) -> load.Measured:
        """By a server that answers 100 a second."""
        number = int(rate * seconds)
        return load.Measured(max(seconds, number / 100), [0.0] * number)

    monkeypatch.setattr(load, "open_loop", served)
    for begin in (20.0, 90.0, 1000.0):
        assert 95 < load.kept_up(0, lambda: b"", begin, 10.0)[0] < 107
    monkeypatch.setattr(load, "open_loop", lambda *_: load.Measured(1.0, [0.0], ["HTTP/1.1 500"]))
    with pytest.raises(SystemExit, match="does not keep up with"):
        load.kept_up(0, lambda: b"", 20.0, 10.0)


def test_the_table_of_capacity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Measured figures, or the words that there are none; it takes the place of the table in the docs."""
    script, docs = PROJECT / "benchmarks" / "capacity.py", PROJECT / "docs" / "service.md"
    if not docs.is_file():
        pytest.skip("not a checkout")
    (tmp_path / "docs.md").write_text(docs.read_text())
    monkeypatch.syspath_prepend(str(script.parent))

    def table(rows: str) -> str:
        (tmp_path / "service.csv").write_text("figure,value,unit\n" + rows)
        given = ["--service", str(tmp_path / "service.csv"), "--price", "0.36", "--write", str(tmp_path / "docs.md")]
        monkeypatch.setattr(sys, "argv", [str(script), *given])
        runpy.run_path(str(script), run_name="__main__")
        return (tmp_path / "docs.md").read_text()

    def bare(text: str) -> str:
        """Page whose table has lost its figures: what is measured changes, its rows and the page do not."""
        page, begin, rest = text.partition("<!-- capacity -->\n")
        rows, end, after = rest.partition("<!-- /capacity -->")
        return page + begin + re.sub(r"\| [^|\n]* \|$", "| |", rows, flags=re.MULTILINE) + end + after

    empty = table("")
    assert bare(empty) == bare(docs.read_text())
    assert empty.count("| not measured yet |") == 7
    stored = '"1,000,000 users with states in the store: memory'
    found = table(
        '"LongInterest, 10,000 items: recommendations, rate",1000,a second\n'
        f'{stored} of the process after its start",300,MiB\n{stored} with 1,024 states held",304,MiB\n'
    )
    for value in ("1,000", "1,080,000", "0.400", "300 MiB", "3.8 GiB"):
        assert f"| {value} |" in found
    assert found.count("not measured yet") == 2


def test_gains_by_history_length_stand_in_the_order_of_the_rows() -> None:
    from benchmarks.history_length import ndcg_of_rows

    class Loader:
        """Three rows of two batches; the last row has the shortest history."""

        order = torch.tensor([2, 0, 1])

        def __iter__(self) -> Iterator[tuple[torch.Tensor, None, None, torch.Tensor]]:
            yield torch.tensor([2]), None, None, torch.tensor([1])
            yield torch.tensor([0, 1]), None, None, torch.tensor([1, 1])

    scores = torch.tensor([[9.0, 1, 0, 0], [9.0, 0, 2, 1], [9.0, 1, 2, 0]])  # ranks 1, 3, 2 of item 1
    gains = ndcg_of_rows(torch.nn.Identity(), lambda rows: scores[rows].clone(), Loader(), torch.device("cpu"))
    torch.testing.assert_close(gains, 1 / torch.log2(torch.tensor([2.0, 4.0, 3.0], dtype=torch.float64)))
