"""`recbole-li verify`: intact, wrong, or without checksums."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from recbole_longinterest.cli.main import main
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint, save_checkpoint
from recbole_longinterest.serving.canaries import write_checked
from recbole_longinterest.serving.engines import engine_of
from recbole_longinterest.serving.model_folder import WEIGHTS, write_folder
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.export import export_checkpoint
from tests.served import random_served, signed_again


def verify(path: Path | str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(["verify", str(path)])
    out, err = capsys.readouterr()
    return code, out + err


def test_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(random_served(), tmp_path / "m")
    code, said = verify(tmp_path / "m", capsys)
    assert code == 0 and said.startswith(f"{tmp_path / 'm'}: intact\n")
    assert "TorchEngine: 12 recommendations, all finite" in said and "model.safetensors: " in said
    (tmp_path / "m" / "notes.txt").write_text("")
    code, said = verify(tmp_path / "m", capsys)
    assert code == 1 and "notes.txt" in said
    (tmp_path / "m" / "notes.txt").unlink()
    with (tmp_path / "m" / WEIGHTS).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"?")
    code, said = verify(tmp_path / "m", capsys)
    assert code == 1 and "wrong" in said and "model.safetensors was changed after it was written" in said


def test_a_folder_of_two_engines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    write_checked(random_served(), tmp_path / "m", [engine_of("onnx")])
    code, said = verify(tmp_path / "m", capsys)
    assert code == 0 and "OnnxEngine: 12 recommendations, all finite" in said


def test_a_folder_with_an_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("faiss")
    write_checked(random_served(), tmp_path / "m", index="hnsw")
    code, said = verify(tmp_path / "m", capsys)
    assert code == 0 and "index of items: hnsw, 300 items, finds the best" in said
    monkeypatch = pytest.MonkeyPatch()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "faiss", None)
        code, said = verify(tmp_path / "m", capsys)
    assert code == 0 and "index of items: not checked (An index of items needs the package faiss" in said
    (tmp_path / "other").mkdir()
    write_checked(random_served(seed=1), tmp_path / "other", index="hnsw")
    (tmp_path / "m" / "index.faiss").write_bytes((tmp_path / "other" / "index.faiss").read_bytes())
    signed_again(tmp_path / "m")
    code, said = verify(tmp_path / "m", capsys)
    assert code == 1 and "belongs to another model" in said


def test_a_training(
    small_config: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: Any
) -> None:
    done = pipeline.run(small_config())
    for file in (done.checkpoint, f"{done.checkpoint}.last"):
        code, said = verify(file, capsys)
        assert code == 0 and "checksum: ok" in said and "all finite" in said, said
    state = load_checkpoint(done.checkpoint)
    plain = tmp_path / "plain.pth"
    torch.save(state, plain, pickle_protocol=2)  # as a version without checksums
    assert verify(plain, capsys) == (
        1,
        f"{plain}: wrong\nIt has no checksum, because an earlier version wrote it, so it cannot be verified.\n",
    )
    assert "earlier version without a checksum" in caplog.text
    export_checkpoint(plain, tmp_path / "from plain")
    state["state_dict"]["id_embedding.weight"][3, 1] = torch.nan
    save_checkpoint(state, "nan.pth")
    code, said = verify("nan.pth", capsys)
    assert code == 1 and "holds weights that are NaN or infinite" in said
    assert main(["export", "nan.pth", "-o", "m"]) == 2 and not Path("m").exists()
    assert "The checkpoint nan.pth holds weights that are NaN or infinite" in capsys.readouterr().err
    Path(done.checkpoint).write_bytes(Path(done.checkpoint).read_bytes()[:-1])
    assert verify(done.checkpoint, capsys)[0] == 1
    exported = verify(tmp_path / "from plain", capsys)
    assert exported[0] == 0 and "checkpoint: plain.pth, sha256 " in exported[1]


def test_what_cannot_be_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(tmp_path / "none", capsys) == (
        2,
        f"recbole-li: error: There is no folder or file {tmp_path / 'none'} to verify.\n",
    )
    (tmp_path / "text").write_text("hello")
    code, said = verify(tmp_path / "text", capsys)
    assert code == 1 and "is not a checkpoint, or it was cut short" in said
    assert main(["verify", str(tmp_path / "text"), "--trusted-key", "x"]) == 2
    assert "Only model folders are signed" in capsys.readouterr().err
