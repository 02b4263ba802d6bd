"""`recbole-li graph`: RecBole's models of knowledge graphs run on what it writes, in exact order."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from recbole.data.utils import create_dataset

from recbole_longinterest import run
from recbole_longinterest.cli import main
from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.data.graph.fit import graph_vectors
from recbole_longinterest.data.graph.settings import GraphSettings
from recbole_longinterest.data.graph.triples import graph_files, read_graph
from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter, synthetic_item
from tests.data.graph.planted import ITEMS, write_graph

FAST = ["--dim", "8", "--graph-epochs", "2", "--show_progress=False", "--text_fields=['title']"]
TINY = {
    "data_path": "out",
    "epochs": 1,
    "MAX_ITEM_LIST_LENGTH": 6,
    "embedding_size": 8,
    "hidden_size": 8,
    "show_progress": False,
    "exact_order": True,
}


@pytest.fixture
def root(write_dataset: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder above a small data set with a graph."""
    monkeypatch.setenv("RECBOLE_LI_CACHE", str(tmp_path / "cache"))
    root = write_dataset("tiny", synthetic_inter(), synthetic_item())
    _, link = write_graph(root / "tiny", "tiny")
    link.write_text(link.read_text() + "i16\tm3\n")  # a second item of an entity
    return root


def test_the_knowledge_models_of_recbole_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["graph", "--dataset", "tiny", "--data_path", str(root), "--output", "out", *FAST]
    assert main.main(arguments) == 0
    out = capsys.readouterr().out
    assert "17 of 20 items have a vector" in out and "run --model KSR --dataset tiny-graph --data_path out" in out
    config = make_config("LongInterest", "tiny", config_dict={"data_path": str(root), "text_fields": ["title"]})
    graph = read_graph(config, *graph_files(config))
    vectors = graph_vectors(graph, GraphSettings(dim=8, epochs=2), show_progress=False)
    for model, more in (("GRU4RecKG", {"one_pass": True}), ("KSR", {"kg_embedding_size": 8})):
        config = make_config(model, "tiny-graph", config_dict={**TINY, **more})
        dataset = create_dataset(config)
        assert isinstance(dataset, FlatSequentialDataset)
        entities, relations = (dataset.get_preload_weight(field) for field in ("ent_id", "rel_id"))
        tokens = dataset.field2id_token["item_id"]
        for i, token in enumerate(tokens):
            number = {"[PAD]": ITEMS, "i16": 3}.get(token, int(token[1:] or 0) if token != "[PAD]" else ITEMS)
            there = f"m{number}" in graph.entities
            expected = vectors.entities[graph.entities.index(f"m{number}")] if there else np.zeros(8)
            np.testing.assert_allclose(entities[i], expected, atol=1e-6)
        names = list(dataset.field2id_token["relation_id"])
        for relation, expected in zip(graph.relations, vectors.relations, strict=True):
            np.testing.assert_allclose(relations[names.index(relation)], expected, atol=1e-6)
        assert run(config).best_valid_score is not None


def test_it_is_replaced_by_this_command_alone(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["graph", "--dataset", "tiny", "--data_path", str(root), "--output", "out", *FAST]
    assert main.main(arguments) == main.main(arguments) == 0
    capsys.readouterr()
    Path("out/tiny-graph/prepare.yaml").unlink()
    assert main.main(arguments) != 0
    assert "tiny-graph already exists and was not written by this command. Give another" in capsys.readouterr().err


def test_a_graph_without_the_items(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "tiny" / "tiny.link").write_text("item_id:token\tentity_id:token\nother\tm1\n")
    assert main.main(["graph", "--dataset", "tiny", "--data_path", str(root), "--output", "out", *FAST]) != 0
    assert "links none of the 20 items of tiny.inter to an entity" in capsys.readouterr().err
    assert main.main(["graph", "--output", "out", "--graph-seed", "-1"]) != 0
    assert "--graph-seed must be a whole number of at least 0; got -1" in capsys.readouterr().err
