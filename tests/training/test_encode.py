"""`recbole-li encode`: what it fills is found by runs, and nothing that happens to it loses what is encoded."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recbole_longinterest.cli import main
from recbole_longinterest.data.longinterest_dataset import LongInterestDataset
from recbole_longinterest.text import cache
from recbole_longinterest.text.encoder import TextEncoder
from recbole_longinterest.training.settings import make_config
from tests.conftest import SMALL, synthetic_inter, synthetic_item
from tests.text.conftest import save_bert

TEXTS = 20


@pytest.fixture
def arguments(write_dataset: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments that encode the 20 texts of a small data set with a small BERT, two at a time."""
    monkeypatch.setenv("RECBOLE_LI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "BATCHES_A_PART", 1)
    root = write_dataset("tiny", synthetic_inter(), synthetic_item(TEXTS))
    bert = save_bert(tmp_path / "bert")
    settings = ["--text_fields=['title','class']", f"--data_path={root}", "--text_batch_size=2", "--use_gpu=False"]
    return ["encode", "--dataset", "tiny", "--encoder", str(bert), *settings]


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that is encoded from here on."""
    texts: list[str] = []
    encode = TextEncoder.encode

    def counted(self: TextEncoder, new: Sequence[str]) -> np.ndarray:
        texts.extend(new)
        return encode(self, new)

    monkeypatch.setattr(TextEncoder, "encode", counted)
    return texts


def shards(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").rglob("*.safetensors"))


def test_a_run_finds_what_was_encoded(
    arguments: list[str], encoded: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(arguments) == 0
    out, err = capsys.readouterr()
    assert out.startswith("20 items with text (20 distinct): 0 were in the cache, 20 encoded in ")
    assert f"cache: {shards(tmp_path)[0].parent}" in out and "20/20" in err  # the progress bar
    assert main.main(arguments) == 0
    assert "20 were in the cache, 0 encoded" in capsys.readouterr().out and len(encoded) == TEXTS

    settings = {**SMALL, "data_path": str(tmp_path / "data"), "text_encoder": str(tmp_path / "bert"), "use_gpu": False}
    data = LongInterestDataset(make_config("LongInterest", "tiny", config_dict=settings))
    assert data.text_source is not None and data.text_source.matrix().present[1:].all()
    assert len(encoded) == TEXTS


def test_onnxruntime_fills_the_cache_for_its_own_runs(
    arguments: list[str], encoded: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    assert main.main([*arguments, "--text_backend=onnx"]) == 0
    assert len(encoded) == TEXTS and len(list((tmp_path / "cache").glob("onnx-*/*.onnx"))) == 1
    settings = {**SMALL, "data_path": str(tmp_path / "data"), "text_encoder": str(tmp_path / "bert"), "use_gpu": False}
    matrices = []
    for backend in ("onnx", "torch"):
        config = make_config("LongInterest", "tiny", config_dict={**settings, "text_backend": backend})
        matrices.append(LongInterestDataset(config).text_source.matrix().vectors)  # type: ignore[union-attr]
        assert len(encoded) == TEXTS * (1 if backend == "onnx" else 2)
    np.testing.assert_allclose(*matrices, atol=1e-3)  # whitened, which magnifies differences


def test_settings_from_a_file_and_no_progress_bar(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my.yaml").write_text("show_progress: False\ntext_template: '{title} of {class}'\n")
    assert main.main([*arguments, "--config_files", str(tmp_path / "my.yaml")]) == 0
    out, err = capsys.readouterr()
    assert "20 encoded" in out and "Encoding texts" not in err


def test_templates_and_prompts_on_the_command_line(
    arguments: list[str], encoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = []
    find = TextEncoder._load

    def load(self: TextEncoder) -> Any:
        prompts.append(self.prompt)
        return find(self)

    monkeypatch.setattr(TextEncoder, "_load", load)
    assert main.main([*arguments, "--text_template={title} of {class}", "--text_prompt=passage: "]) == 0
    assert "Title number 3 of Kind 3" in encoded and set(prompts) == {"passage: "}


def test_ctrl_c_keeps_what_is_done(
    arguments: list[str], encoded: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as context:
        counted = TextEncoder.encode

        def interrupted(self: TextEncoder, new: Sequence[str]) -> np.ndarray:
            if len(encoded) == 6:
                raise KeyboardInterrupt
            return counted(self, new)

        context.setattr(TextEncoder, "encode", interrupted)
        assert main.main(arguments) == 130
    assert "stopped; what is encoded is kept. Run the same command again to continue." in capsys.readouterr().err
    assert main.main(arguments) == 0
    assert "6 were in the cache, 14 encoded" in capsys.readouterr().out and len(encoded) == len(set(encoded)) == TEXTS


SLOW = """
import sys, time
from recbole_longinterest.cli import main
from recbole_longinterest.text import cache, encoder
cache.BATCHES_A_PART, cache.SECONDS_A_SHARD = 1, float(sys.argv[1])
encode = encoder.TextEncoder.encode
def slow(self, texts):
    print("part", flush=True)
    time.sleep(0.2)
    return encode(self, texts)
encoder.TextEncoder.encode = slow
sys.exit(main.main(sys.argv[2:]))
"""


def start(arguments: list[str], seconds_a_shard: float) -> subprocess.Popen[str]:
    """The command in a process of its own, 0.2 seconds for every two texts."""
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, str(seconds_a_shard), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where a shell starts pytest with &
    )


def wait_for_parts(process: subprocess.Popen[str], parts: int) -> None:
    """Until the process has begun so many parts after the first."""
    assert process.stdout is not None
    for _ in range(parts + 1):
        while process.stdout.readline() not in ("part\n", ""):
            pass
    assert process.poll() is None


@pytest.mark.slow
def test_signals_and_two_processes_at_once(
    arguments: list[str], encoded: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted = start(arguments, seconds_a_shard=1000)
    wait_for_parts(interrupted, 2)
    interrupted.send_signal(signal.SIGINT)
    _, err = interrupted.communicate(timeout=120)
    assert interrupted.returncode == 130 and "what is encoded is kept" in err
    after_interrupt = sum(count(path) for path in shards(tmp_path))
    assert 4 <= after_interrupt < TEXTS

    killed = start(arguments, seconds_a_shard=0)
    wait_for_parts(killed, 2)
    time.sleep(0.1)
    killed.kill()
    killed.communicate(timeout=120)
    after_kill = sum(count(path) for path in shards(tmp_path))
    assert after_interrupt + 4 <= after_kill < TEXTS

    other = start(arguments, seconds_a_shard=0)
    wait_for_parts(other, 1)
    assert main.main(arguments) == 0  # at the same time
    out, err = other.communicate(timeout=240)
    assert other.returncode == 0, err
    own = capsys.readouterr()
    for said, warned in ((out, err), own):
        assert "20 items with text (20 distinct)" in said and "Ignored" not in warned
    encoded.clear()
    assert main.main(arguments) == 0
    assert "20 were in the cache, 0 encoded" in capsys.readouterr().out and encoded == []


def count(path: Path) -> int:
    """Texts in a shard."""
    return len(cache._read_shard(path)[0])


def test_a_damaged_file_loses_its_own_texts_alone(
    arguments: list[str],
    encoded: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(cache, "TEXTS_A_SHARD", 4)
    assert main.main(arguments) == 0
    files = shards(tmp_path)
    assert len(files) == 5
    files[2].write_bytes(files[2].read_bytes()[:-7])
    encoded.clear()
    capsys.readouterr()
    assert main.main(arguments) == 0
    assert "16 were in the cache, 4 encoded" in capsys.readouterr().out and len(encoded) == 4
    assert f"Ignored the text cache file {files[2]} (damaged" in caplog.text


def test_a_full_disk_loses_nothing_and_says_so(
    arguments: list[str],
    encoded: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    resource = pytest.importorskip("resource", reason="the limit that stands for a full disk is POSIX's")
    monkeypatch.setattr(cache, "TEXTS_A_SHARD", 4)
    first, second = synthetic_item(8), synthetic_item(TEXTS)
    item = tmp_path / "data" / "tiny" / "tiny.item"
    item.write_text(first)
    assert main.main(arguments) == 0
    kept = shards(tmp_path)
    item.write_text(second)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # no file larger than 100 bytes: a real OSError
    try:
        assert main.main(arguments) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    message = capsys.readouterr().err
    assert "The text vectors are not cached" in message and "File too large" in message
    assert "Free disk space, or set RECBOLE_LI_CACHE to another folder, and run the same command again." in message
    assert shards(tmp_path) == kept and not list((tmp_path / "cache").rglob("*.tmp"))
    encoded.clear()
    assert main.main(arguments) == 0
    assert "8 were in the cache, 12 encoded" in capsys.readouterr().out and len(encoded) == 12


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--text_vectors=v.npy"], "There is nothing to encode: text_vectors is v.npy. Unset it."),
        (
            ["--text_fields=None"],
            "There is nothing to encode: text_fields names no column of the .item file. Set --tex",
        ),
        (["--text_fields=['plot']"], "tiny.item has no column plot, named in text_fields"),
        (["--encoder=./nowhere"], "there is no folder ./nowhere"),
        (["--dataset=other"], "There is no data set folder"),
        (["--epoch=1"], "has no setting epoch. Did you mean epochs?"),
        (["epochs"], "epochs is not a setting; write --key=value"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [word for word in arguments if not word.startswith("--text_fields") or not more[0].startswith("--text_f")]
    assert main.main([*others, *more]) == 2  # the last --encoder and --dataset count
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
