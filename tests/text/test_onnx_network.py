"""`text_backend: onnx`: torch's vectors, from a graph that is exported once and is never half-written."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recbole_longinterest.common.packages import MissingPackage
from recbole_longinterest.text import onnx_network
from recbole_longinterest.text.cache import fill_cache
from recbole_longinterest.text.encoder import EncoderError, TextEncoder
from tests.text.conftest import TEXTS, encoder

pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of the test."""
    monkeypatch.setenv("RECBOLE_LI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def graphs(cache: Path) -> list[Path]:
    """All files of exported networks, also drafts."""
    return sorted(path for path in cache.glob("onnx-*/*"))


def never(*args: object) -> None:
    """Stands in for the export."""
    raise AssertionError("exported again")


@pytest.mark.parametrize("model", ["tiny_bert", "tiny_chinese_bert", "tiny_roberta", "tiny_gpt2", "tiny_t5"])
def test_vectors_are_those_of_torch(
    model: str, cache: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For texts of all lengths, in batches of any size, and for all settings by one graph."""
    folder = request.getfixturevalue(model)
    texts = [*TEXTS, "the golden eye " * 30]
    for number, settings in enumerate(
        ({}, {"batch_size": 1}, {"max_length": 4, "pooling": "cls"}, {"chunks": 3, "max_length": 6, "prompt": "a toy "})
    ):
        own, other = encoder(folder, **settings), encoder(folder, backend="onnx", **settings)
        np.testing.assert_allclose(other.encode(texts), own.encode(texts), atol=1e-5)
        if not number:
            monkeypatch.setattr(onnx_network, "write_graph", never)
    assert len(graphs(cache)) == 1


def test_a_graph_traced_on_cut_texts_serves_long_ones(tiny_bert: Path) -> None:
    encoder(tiny_bert, backend="onnx", max_length=4, prompt="toy story of the ").encode(["a"])
    texts = ["the golden eye of the toy", "a"]
    np.testing.assert_allclose(
        encoder(tiny_bert, backend="onnx").encode(texts), encoder(tiny_bert).encode(texts), atol=1e-5
    )


def test_updates_of_a_tuned_encoder_are_in_its_graph(tiny_bert: Path, cache: Path) -> None:
    name = "encoder.layer.0.attention.self.query"
    updates = {f"{name}.down": torch.arange(8.0)[None], f"{name}.up": torch.arange(8.0)[:, None]}
    plain, own, other = (
        encoder(tiny_bert, updates=given, backend=backend)
        for given, backend in ((None, "onnx"), (updates, "torch"), (updates, "onnx"))
    )
    assert not np.allclose(plain.encode(TEXTS), own.encode(TEXTS), atol=1e-2)
    np.testing.assert_allclose(other.encode(TEXTS), own.encode(TEXTS), atol=1e-5)
    assert len(graphs(cache)) == 2


def test_cached_vectors_of_torch_stay_its_own(tiny_bert: Path, cache: Path) -> None:
    """The identity of torch is as it was before there were backends; onnxruntime has vectors of its own."""
    own, unset, other = (encoder(tiny_bert, backend=backend) for backend in ("torch", None, "onnx"))
    assert own.identity == unset.identity and "torch" not in own.identity
    assert other.identity == f"{own.identity} onnx"
    assert fill_cache(["toy"], own, show_progress=False).known == 0
    assert fill_cache(["toy"], unset, show_progress=False).known == 1
    assert fill_cache(["toy"], other, show_progress=False).known == 0


def test_an_interrupted_export_leaves_nothing(tiny_bert: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(network: Any, example: Any, file: Path) -> None:
        file.write_bytes(b"half of it")
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(onnx_network, "write_graph", interrupted)
        with pytest.raises(KeyboardInterrupt):
            encoder(tiny_bert, backend="onnx").encode(TEXTS)
    assert graphs(cache) == []
    killed = cache / next(cache.glob("onnx-*")) / ".graph.onnx.0123456789ab.tmp"
    killed.write_bytes(b"half of it")
    encoder(tiny_bert, backend="onnx").encode(TEXTS)
    assert [path.suffix for path in graphs(cache)] == [".onnx"]


def test_a_damaged_graph_is_exported_again(tiny_bert: Path, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    vectors = encoder(tiny_bert, backend="onnx").encode(TEXTS)
    (file,) = graphs(cache)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    np.testing.assert_allclose(encoder(tiny_bert, backend="onnx").encode(TEXTS), vectors, atol=1e-6)
    assert f"Ignored {file}, which is damaged; the text encoder is exported again." in caplog.text


def test_a_cache_that_cannot_be_written_costs_time_alone(
    tiny_bert: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.write_text("a file")
    vectors = encoder(tiny_bert, backend="onnx").encode(TEXTS)
    np.testing.assert_allclose(vectors, encoder(tiny_bert).encode(TEXTS), atol=1e-5)
    assert "The exported text encoder is not kept" in caplog.text and "RECBOLE_LI_CACHE" in caplog.text


def test_a_gpu_is_not_used(tiny_bert: Path, caplog: pytest.LogCaptureFixture) -> None:
    there = TextEncoder(str(tiny_bert), device="cuda:0", backend="onnx")
    assert there.precision == "fp32" and there.identity == encoder(tiny_bert, backend="onnx").identity
    np.testing.assert_allclose(there.encode(TEXTS), encoder(tiny_bert).encode(TEXTS), atol=1e-5)
    assert "text_backend: onnx encodes on the CPU; text_backend: torch would use cuda:0." in caplog.text


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_says_what_to_install(package: str, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        MissingPackage, match=rf"needs the package {package}, .* pip install 'recbole-longinterest\[onnx\]'"
    ):
        encoder(tiny_bert, backend="onnx").encode(TEXTS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backend": "tensorrt"}, r"text_backend must be one of torch, onnx; got 'tensorrt'\. Set it in a config"),
        ({"backend": "onnx", "precision": "bf16"}, r"text_precision must be fp32 with text_backend: onnx; got 'bf16'"),
    ],
)
def test_bad_arguments(settings: dict[str, str], message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        TextEncoder(**settings)  # type: ignore[arg-type]


def test_there_are_no_weights_to_train(tiny_bert: Path) -> None:
    with pytest.raises(EncoderError, match=r"text_backend: onnx has no weights to train\. Set text_backend: torch"):
        encoder(tiny_bert, backend="onnx").load()


def scaled(network: Any, example: Any, file: Path) -> None:
    """The graph of other weights."""
    with torch.no_grad():
        next(network.parameters()).mul_(1.1)
    onnx_network_write(network, example, file)


def refused(network: Any, example: Any, file: Path) -> None:
    raise RuntimeError("an operator\nis not known")


onnx_network_write = onnx_network.write_graph


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (scaled, r"The ONNX graph of the text encoder .*bert differs from torch by .*; the limit is 0\.0001\. Set"),
        (refused, r"bert cannot be exported to ONNX by torch .*: an operator is not known\. Set text_backend: torch"),
    ],
)
def test_a_graph_that_is_wrong_is_not_kept(
    write: Callable[..., None], message: str, tiny_bert: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_network, "write_graph", write)
    with pytest.raises(EncoderError, match=message):
        encoder(tiny_bert, backend="onnx").encode(TEXTS)
    assert graphs(cache) == []


def test_a_network_too_large_for_one_file(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_network, "BYTES", 100)
    with pytest.raises(EncoderError, match=r"with at most 0\.0 GB of weights; .*bert has .* GB\. Set text_backend: t"):
        encoder(tiny_bert, backend="onnx").encode(TEXTS)
