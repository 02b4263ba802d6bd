"""`adapt` and `graph`: what they write is whole or not there, and the same command goes on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import synthetic_inter, synthetic_item
from tests.data.graph.planted import write_graph
from tests.kills.conftest import Trial, files_of
from tests.text.conftest import save_bert
from tests.training.adapting.test_job import planted_inter, planted_item

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]
QUIET = ["--dataset", "tiny", "--data_path=data", "--text_fields=['title']", "--show_progress=False", "--state=ERROR"]


def out_of(root: Path) -> Any:
    """Files of the output."""
    return {name: content for name, content in files_of(root).items() if name.startswith("out/")}


def write_data(start: Path, inter: str, item: str) -> Path:
    folder = start / "data" / "tiny"
    folder.mkdir(parents=True)
    (folder / "tiny.inter").write_text(inter)
    (folder / "tiny.item").write_text(item)
    return folder


@pytest.mark.parametrize("method", ["adapter", "lora"])
def test_an_adapted_encoder(trial: Callable[..., Trial], tmp_path: Path, method: str) -> None:
    write_data(tmp_path / "start", planted_inter(60), planted_item())
    save_bert(tmp_path / "start" / "bert")
    adapt = ["adapt", *QUIET, "--encoder", "bert", "--output", "out", "--method", method, "--epochs", "1"]
    adapt += ["--batch", "64", "--learning-rate", "0.02", "--held-out", "0.15", "--use_gpu=False"]
    tried = trial(adapt, out_of, work="tests.kills.knowledge:adapt")
    assert tried.old == {} and "out/README.md" in tried.new
    if method == "lora":  # only its folder is written in another way
        tried.kill_everywhere(range(tried.points - 30, tried.points + 1), [])
        return
    tried.kill_everywhere()
    tried.fill_everywhere([])


def test_vectors_of_a_graph(trial: Callable[..., Trial], tmp_path: Path) -> None:
    write_graph(write_data(tmp_path / "start", synthetic_inter(), synthetic_item()), "tiny")
    graph = ["graph", *QUIET, "--output", "out", "--dim", "8", "--graph-epochs", "2"]
    tried = trial(graph, out_of, work="tests.kills.knowledge:graph")
    assert tried.old == {} and len(tried.new) == 7
    tried.kill_everywhere()
    tried.fill_everywhere()
