"""Knowledge graphs as sources: what is read, what is trained, what a text says, and what stays out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recbole_longinterest.data.graph import fit
from recbole_longinterest.data.graph.fit import graph_vectors
from recbole_longinterest.data.graph.held_out import hold_out
from recbole_longinterest.data.graph.neighbours import neighbour_texts
from recbole_longinterest.data.graph.settings import MODELS, GraphSettings
from recbole_longinterest.data.graph.store import STATE, GraphStore
from recbole_longinterest.data.graph.triples import KnowledgeGraph, graph_files, read_graph
from recbole_longinterest.data.longinterest_dataset import LongInterestDataset
from tests.contracts import check_contracts
from tests.data.graph.planted import ITEMS, write_graph


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KnowledgeGraph:
    """The planted graph, and a cache of its own."""
    monkeypatch.setenv("RECBOLE_LI_CACHE", str(tmp_path / "cache"))
    return read_graph(columns(), *write_graph(tmp_path / "files", "tiny"))


def columns(**more: Any) -> Any:
    """What the reader asks of a config."""
    keys = ("HEAD_ENTITY_ID_FIELD", "RELATION_ID_FIELD", "TAIL_ENTITY_ID_FIELD", "ENTITY_ID_FIELD", "encoding")
    return {**dict.fromkeys(keys), "ITEM_ID_FIELD": "item_id", "field_separator": "\t", **more}


def near_share(vectors: np.ndarray, graph: KnowledgeGraph) -> float:
    """How often the nearest other item has the same genre: 1 / 4 by chance."""
    ids, rows = graph.rows_of(["[PAD]", *(f"i{item}" for item in range(ITEMS))])
    unit = vectors[rows] / np.linalg.norm(vectors[rows], axis=1, keepdims=True)
    likeness = unit @ unit.T - 2 * np.eye(len(ids))
    genre = np.array([(i - 1) % 4 for i in ids])
    return float((genre[likeness.argmax(axis=1)] == genre).mean())


def test_what_the_files_hold_and_no_event_does(graph: KnowledgeGraph, small_config: Callable[..., Any]) -> None:
    assert len(graph.entities) > ITEMS and "actor1" in graph.entities  # entities that are no items
    ids, rows = graph.rows_of(["[PAD]", "i3", "i0", "no link", "loose"])
    assert ids == [1, 2] and [graph.entities[row] for row in rows] == ["m3", "m0"]  # loose is in no triple
    config = small_config()
    place = Path(config["data_path"])
    write_graph(place, "tiny")
    for file in ("tiny.inter", "tiny.item"):
        (place / file).unlink()
    assert read_graph(config, *graph_files(config)).digest == graph.digest


@pytest.mark.parametrize("model", MODELS)
def test_items_of_a_genre_are_near(graph: KnowledgeGraph, model: str) -> None:
    found = graph_vectors(graph, GraphSettings(model, 16, 200), show_progress=False)
    assert found.entities.shape == (len(graph.entities), 16)
    shuffled = found.entities[np.random.default_rng(0).permutation(len(found.entities))]
    assert near_share(found.entities, graph) > 0.8 > 0.5 > near_share(shuffled, graph)


def test_a_seed_gives_the_same_vectors_and_training_happens_once(
    graph: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = GraphSettings(dim=8, epochs=3)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = graph_vectors(graph, settings, show_progress=False)
    assert torch.equal(torch.get_rng_state(), state)
    other = graph_vectors(graph, GraphSettings(dim=8, epochs=3, seed=1), show_progress=False)
    assert not np.allclose(other.entities, first.entities)
    (file,) = GraphStore(graph, settings).folder.glob("*.safetensors")
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    again = graph_vectors(graph, settings, show_progress=False)
    assert np.array_equal(first.entities, again.entities) and np.array_equal(first.relations, again.relations)
    assert "Ignored the vectors of a knowledge graph" in caplog.text
    monkeypatch.setitem(__import__("sys").modules, "torch_geometric", None)
    assert np.array_equal(graph_vectors(graph, settings, show_progress=False).entities, first.entities)
    with pytest.raises(ValueError, match=r"kind: graph.*torch_geometric.*pip install 'recbole-longinterest\[graph\]'"):
        graph_vectors(graph, GraphSettings(dim=10), show_progress=False)


def test_a_stopped_training_goes_on_with_the_same_result(
    graph: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = GraphSettings("ComplEx", 8, 6)
    whole = graph_vectors(graph, settings, show_progress=False)
    monkeypatch.setenv("RECBOLE_LI_CACHE", str(tmp_path / "second"))
    monkeypatch.setattr(fit, "SECONDS_A_STATE", 0.0)
    epochs: list[int] = []
    one_epoch = fit._Fit._one_epoch

    def counted(self: Any, bar: Any) -> None:
        if len(epochs) == 4:
            epochs.append(-1)
            raise KeyboardInterrupt
        one_epoch(self, bar)
        epochs.append(self.epoch)

    monkeypatch.setattr(fit._Fit, "_one_epoch", counted)
    with pytest.raises(KeyboardInterrupt):
        graph_vectors(graph, settings, show_progress=False)
    folder = GraphStore(graph, settings).folder
    assert (folder / STATE).is_file()
    found = graph_vectors(graph, settings, show_progress=False)
    assert epochs == [1, 2, 3, 4, -1, 5, 6] and not (folder / STATE).exists()
    assert np.array_equal(found.entities, whole.entities) and np.array_equal(found.relations, whole.relations)
    GraphStore(graph, settings).write_state(6, [], {})  # as after a kill between the vectors and the end
    graph_vectors(graph, settings, show_progress=False)
    assert not (folder / STATE).exists()


def test_a_damaged_state_is_passed_over(graph: KnowledgeGraph, caplog: pytest.LogCaptureFixture) -> None:
    settings = GraphSettings(dim=8, epochs=1)
    folder = GraphStore(graph, settings).folder
    folder.mkdir(parents=True)
    (folder / STATE).write_bytes(b"no state")
    graph_vectors(graph, settings, show_progress=False)
    assert "the state of an interrupted training" in caplog.text


def test_a_cache_that_cannot_be_written_is_a_warning(
    graph: KnowledgeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RECBOLE_LI_CACHE", str(tmp_path / "file"))
    graph_vectors(graph, GraphSettings(dim=8, epochs=1), show_progress=False)
    assert "The vectors of the knowledge graph are not cached" in caplog.text


def test_held_out_pairs_leave_no_way_back() -> None:
    rng = np.random.default_rng(0)
    there = np.unique(rng.integers(0, 150, size=(3000, 2)), axis=0)
    triples = np.concatenate(
        [np.insert(there, 1, 0, axis=1), np.insert(there[:, ::-1], 1, 1, axis=1)]  # each with its inverse
    )
    train, held_out = hold_out(triples, seed=0)
    assert held_out is not None and len(train) + len(held_out.triples) == len(triples)
    apart = {frozenset(pair) for pair in held_out.triples[:, [0, 2]].tolist()}
    assert not apart & {frozenset(pair) for pair in train[:, [0, 2]].tolist()}
    assert set(np.unique(train[:, [0, 2]])) == set(np.unique(triples[:, [0, 2]]))
    same = [set(triples[triples[:, 1] == kind, 2]) for kind in (0, 1)]
    assert all(
        set(row) <= same[kind]
        for kind, row in zip(held_out.triples[:, 1].tolist(), held_out.tails.tolist(), strict=True)
    )
    assert hold_out(triples[:30], seed=0)[1] is None


def test_a_text_names_the_neighbours_by_relation() -> None:
    entities, relations = ["ada", "bo", "cy", "film", "sequel"], ["film.directed_by", "person.film", "plot.next_part"]
    rows = [[3, 0, 0], [0, 1, 3], [3, 0, 1], [2, 1, 3], [3, 2, 4], [2, 1, 4]]
    graph = KnowledgeGraph(entities, relations, np.array(rows), {"i1": "film", "i2": "sequel", "i3": "gone"})
    texts, share = neighbour_texts(graph, ["i1", "i2", "i3"], {"sequel": "Heat 2", "ada": "Ada L."})
    assert texts == {
        "i1": "directed by: Ada L., bo. is film of: cy. next part: Heat 2",
        "i2": "is film of: cy. is next part of: film",
    }
    assert share == pytest.approx(2 / 6)
    chosen, _ = neighbour_texts(graph, ["i1"], {}, ["plot.next_part", "film.directed_by"], limit=1)
    assert chosen == {"i1": "next part: sequel. directed by: ada"}


def test_both_sources_hold_the_contracts(small_config: Callable[..., Any], tmp_path: Path) -> None:
    write_graph(tmp_path / "data" / "tiny", "tiny")
    (tmp_path / "names.txt").write_text("entity_id:token\tname:token_seq\nactor1\tAnn Actor\n")
    sources = {
        "graph": {"dim": 6, "epochs": 2, "width": 3},
        "around": {"kind": "graph_text", "names": str(tmp_path / "names.txt"), "fields": ["title"], "width": 2},
    }
    model = check_contracts(small_config, tmp_path / "model", item_sources=sources, source_dropout=0.2)
    network, tokens = model.network, model.served.items.tokens
    held = {name: {tokens[i] for i in source.present.nonzero().flatten()} for name, source in network.sources.items()}
    linked = {f"i{item}" for item in range(ITEMS)} & set(tokens)
    assert held["graph"] == linked and held["around"] == set(tokens[1:]) > linked  # the others have a title


def test_texts_of_neighbours(
    small_config: Callable[..., Any], fake_encoder: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_graph(tmp_path / "data" / "tiny", "tiny")
    config = small_config(item_sources={"graph_text": {"relations": ["has.genre"], "fields": "title"}})
    (_, source) = LongInterestDataset(config).item_matrices.values()
    source.matrix()
    assert "Title number 1. genre: genre1" in fake_encoder.encoded and "Title number 17" in fake_encoder.encoded
    assert "100% of the neighbours have no name" in caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"graph": {"model": "TransH"}}, r"item_sources\.graph\.model must be one of TransE.*; got 'TransH'"),
        ({"graph": {"epochs": 0}}, r"item_sources\.graph\.epochs must be a whole number of at least 1; got 0"),
        ({"graph": {"dim": 9, "model": "RotatE"}}, r"item_sources\.graph\.dim must be even for RotatE"),
        ({"graph": {"dim": 8, "width": 9}}, r"width must not exceed dim, which is 8; got 9"),
        ({"graph": {"size": 8}}, r"item_sources\.graph has no setting size; its settings are width, kg, link, model"),
        (
            {"graph": {"kg": "gone.kg"}},
            r"no file gone\.kg, which the knowledge graph needs\. Add RecBole's \.kg and \.link",
        ),
        ({"graph": {"kg": "no_tail.kg"}}, r"no_tail\.kg has no column tail_id; its columns are: head_id, relation_id"),
        ({"graph": {"kg": "short.kg"}}, r"short\.kg, line 3: a row must have 3 columns, and tokens in head_id"),
        ({"graph": {"kg": "empty.kg"}}, r"empty\.kg has no row"),
        ({"graph": {"link": "others.link"}}, r"item_sources\.graph: not one of the 20 items has a vector"),
        ({"graph_text": {"link": "others.link"}}, r"item_sources\.graph_text: not one of the 20 items has a vector"),
        ({"graph_text": {"limit": 0}}, r"graph_text\.limit must be a whole number of at least 1; got 0"),
        ({"graph_text": {"relations": ["is"]}}, r"relations must be a list of relations of the graph \(film\.actor"),
    ],
)
def test_settings_and_files_that_are_wrong(
    settings: dict[str, Any], message: str, small_config: Callable[..., Any], tmp_path: Path
) -> None:
    write_graph(tmp_path / "data" / "tiny", "tiny")
    head = "head_id:token\trelation_id:token\ttail_id:token\n"
    Path("no_tail.kg").write_text("head_id:token\trelation_id:token\na\tb\n")
    Path("short.kg").write_text(head + "a\tr\tb\na\tr\n")
    Path("empty.kg").write_text(head)
    Path("others.link").write_text("item_id:token\tentity_id:token\nother\tm1\n")
    with pytest.raises(ValueError, match=message):
        for source in LongInterestDataset(small_config(item_sources=settings)).item_matrices.values():
            source.matrix()
