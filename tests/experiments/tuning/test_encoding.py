"""Texts encoded by Ray Data: the vectors, and the cache, are those of one process."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recbole_longinterest.cli import main
from recbole_longinterest.experiments.tuning.encoding import ClusterEncoder
from recbole_longinterest.plugin.ray_session import ray
from recbole_longinterest.text.cache import encode_cached
from recbole_longinterest.text.encoder import TextEncoder
from tests.conftest import synthetic_inter, synthetic_item


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.usefixtures("one_ray")
def test_ray_fills_the_same_cache_with_equal_vectors(
    write_dataset: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = write_dataset("tiny", synthetic_inter(), synthetic_item())
    command = ["encode", "--dataset", "tiny", f"--data_path={root}", "--text_fields=['title']", "--show_progress=False"]
    texts = [f"Title number {i}" for i in range(20)]
    folders = []
    for name, more in (("alone", []), ("ray", ["--ray"])):
        monkeypatch.setenv("RECBOLE_LI_CACHE", str(tmp_path / name))
        assert main.main([*command, *more]) == 0
        assert "20 encoded" in capsys.readouterr().out
        folders.append({path.name for path in (tmp_path / name).iterdir()})
    assert folders[0] == folders[1]  # one encoder, one folder

    def fail(*_: object) -> None:
        raise AssertionError("the cache has all of them")

    monkeypatch.setattr(TextEncoder, "encode", fail)
    alone, by_ray = (encode_cached(texts, TextEncoder(), tmp_path / name, False) for name in ("alone", "ray"))
    np.testing.assert_allclose(by_ray, alone, atol=1e-6)


@pytest.mark.parametrize(("backend", "workers"), [("torch", 2), ("onnx", 7)])
def test_onnxruntime_leaves_the_gpus_of_a_cluster_alone(
    backend: str, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"GPU": 2.0, "CPU": 8.0})
    assert ClusterEncoder(TextEncoder(device="cpu", backend=backend)).workers == workers


def test_no_cluster_at_the_address(write_dataset: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    root = write_dataset("tiny", synthetic_inter(), synthetic_item())
    command = ["encode", "--dataset", "tiny", f"--data_path={root}", "--text_fields=['title']"]
    ray.shutdown()  # the Ray that tests share would be taken
    assert main.main([*command, "--ray", "--address", "nowhere"]) == 2
    assert "Ray is not available at nowhere" in capsys.readouterr().err
