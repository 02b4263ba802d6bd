"""A run whose texts onnxruntime encodes: its export, its new items and its update."""

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from recbole.config import Config

from recbole_longinterest.common.packages import MissingPackage
from recbole_longinterest.data.built_in_sources import make_texts
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint
from recbole_longinterest.plugin.runs.files import own_name
from recbole_longinterest.serving.new_items import with_items
from recbole_longinterest.text.cache import fill_cache
from recbole_longinterest.text.encoder import TextEncoder
from recbole_longinterest.training import export, pipeline
from recbole_longinterest.training.settings import make_config
from recbole_longinterest.training.update.update import update_checkpoint
from tests.conftest import SMALL, synthetic_inter
from tests.text.conftest import WORDS, save_bert

pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
NEW = "golden toy drama"


def title(item: int) -> str:
    return f"{WORDS[item % 13]} {WORDS[(item * 7 + 3) % 11]}"


@pytest.fixture
def config(
    write_dataset: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Config]:
    """Config of a small data set whose titles a small BERT reads."""
    monkeypatch.setenv("RECBOLE_LI_CACHE", str(tmp_path / "cache"))
    rows = "".join(f"i{item}\t{title(item)}\n" for item in range(20))
    root = write_dataset("tiny", synthetic_inter(), f"item_id:token\ttitle:token_seq\n{rows}")
    bert = save_bert(tmp_path / "bert")

    def make(**settings: object) -> Config:
        own = {"data_path": str(root), "text_encoder": str(bert), "text_fields": ["title"], "use_gpu": False}
        return make_config("LongInterest", "tiny", config_dict={**SMALL, **own, "epochs": 1, **settings})

    return make


def known(bert: Path, backend: str) -> bool:
    """Whether the cache has a backend's vector of the new text; it has it afterwards."""
    return bool(fill_cache([NEW], TextEncoder(str(bert), device="cpu", backend=backend), show_progress=False).known)


def test_new_texts_of_an_export_and_of_an_update(
    config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = pipeline.run(config(text_backend="onnx")).checkpoint
    assert checkpoint is not None and load_checkpoint(checkpoint)["config"]["text_backend"] == "onnx"

    # The export says in which precision the texts were encoded, also on a machine with a GPU, and torch adds to them.
    monkeypatch.setattr(export, "own_precision", lambda device: "fp32" if device == "cpu" else "bf16")
    served = export.export_checkpoint(checkpoint, tmp_path / "out")
    assert served.about["text"]["text_precision"] == "fp32"
    added = with_items(served, pd.DataFrame({"item_id": ["i3", "new"], "title": [title(3), NEW]}))
    assert added.new == ["new"] and not added.changed

    events = "".join(f"u{user}\tnew\t5\t{2 * 10**9 + user}\n" for user in range(10))
    (tmp_path / "new.inter").write_text(f"user_id:token\titem_id:token\trating:float\ttimestamp:float\n{events}")
    (tmp_path / "new.item").write_text(f"item_id:token\ttitle:token_seq\nnew\t{NEW}\n")
    files = tmp_path / "new.inter", tmp_path / "new.item"
    with monkeypatch.context() as context:
        context.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(MissingPackage, match=r"text_backend: onnx needs the package onnxruntime, .*\[onnx\]'"):
            update_checkpoint(checkpoint, *files, tmp_path / "child.pth")
    update_checkpoint(checkpoint, *files, tmp_path / "child.pth")
    assert known(tmp_path / "bert", "onnx")


def test_the_setting_is_part_of_a_run_and_of_a_source(config: Callable[..., Config]) -> None:
    """With torch, a run keeps the name that it had before there were backends."""
    unset, torch, onnx = (config(text_backend=backend) for backend in (None, "torch", "onnx"))
    before = own_name(unset)
    assert own_name(torch) == before != own_name(onnx)
    del torch.final_config_dict["text_backend"]
    assert own_name(torch) == before
    tokens = ["[PAD]", *(f"i{item}" for item in range(20))]
    assert make_texts(onnx, {"name": "title", "kind": "text"}, tokens).encoder.backend == "onnx"
