"""An index finds what it says it finds, and its file is checked against the model."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.packages import MissingPackage
from recbole_longinterest.serving.canaries import write_checked
from recbole_longinterest.serving.index import chosen_kind, index_kind, load_index
from recbole_longinterest.serving.index.build import AIM, GOALS, calibrate, exact_best, queries_of, recall_of
from recbole_longinterest.serving.index.faiss_index import FaissIndex
from recbole_longinterest.serving.index.files import ABOUT, FILE
from recbole_longinterest.serving.manifest import ExportError
from recbole_longinterest.serving.recommender import Recommender
from tests.served import random_model, random_served, signed_again

pytest.importorskip("faiss")


def test_auto_builds_an_index_for_many_items_alone() -> None:
    assert chosen_kind("auto", 99_999) == "exact" and chosen_kind("auto", 100_000) == "ivf"
    assert [chosen_kind(kind, 5) for kind in ("exact", "ivf", "hnsw")] == ["exact", "ivf", "hnsw"]
    with pytest.raises(LongInterestError, match="index must be one of exact, hnsw, ivf, auto; got 'flat'"):
        chosen_kind("flat", 5)


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_the_stated_recall_holds_for_other_queries(kind: str) -> None:
    model = random_model(n_items=5000)
    index = FaissIndex.build(kind, model.items.numpy())
    found = calibrate(index, model.items, queries_of(model))
    assert list(found) == list(GOALS) and all(recall >= AIM for _, recall in found.values())
    others = queries_of(model, seed=1)
    for goal in GOALS:
        assert recall_of(index, others, exact_best(model.items, others, goal), found[goal][0]) >= 0.98


def test_more_items_are_looked_for_harder() -> None:
    index = FaissIndex.build("ivf", random_model(n_items=5000).items.numpy())
    assert index.effort_for(10) == index.most_effort  # nothing is known yet
    index.effort = {10: 4, 100: 16}
    assert [index.effort_for(depth) for depth in (1, 10, 11, 31, 100, 200)] == [4, 4, 5, 8, 16, 32]
    assert index.effort_for(10**9) == index.most_effort


def test_an_export_with_an_index_is_checked_and_read(tmp_path: Path) -> None:
    recall = write_checked(random_served(), tmp_path / "m", index="ivf")
    assert recall is not None and recall >= 0.98
    assert index_kind(tmp_path / "m") == "ivf" and {FILE, ABOUT} <= {file.name for file in (tmp_path / "m").iterdir()}
    model = Recommender.load(tmp_path / "m")
    index = load_index(model)
    assert index is not None and index.n_items == model.n_items
    found = index.find(model.items[5].numpy(), 10, index.most_effort)
    assert set(exact_best(model.items, model.items[5:6], 10)[0].tolist()) == set(found.tolist())


def test_an_export_without_an_index(tmp_path: Path) -> None:
    assert write_checked(random_served(), tmp_path / "m") is None
    assert index_kind(tmp_path / "m") == "exact" and load_index(Recommender.load(tmp_path / "m")) is None
    assert load_index(random_model()) is None


def test_an_index_of_another_model_is_refused(tmp_path: Path) -> None:
    write_checked(random_served(seed=0), tmp_path / "m", index="ivf")
    write_checked(random_served(seed=1), tmp_path / "other", index="ivf")
    (tmp_path / "m" / FILE).write_bytes((tmp_path / "other" / FILE).read_bytes())
    with pytest.raises(ExportError, match=r"index.faiss was changed after it was written"):
        Recommender.load(tmp_path / "m")
    signed_again(tmp_path / "m")
    with pytest.raises(ExportError, match=r"index.faiss in .* belongs to another model: for 8 queries it finds"):
        load_index(Recommender.load(tmp_path / "m"))
    write_checked(random_served(n_items=200), tmp_path / "small", index="ivf")
    (tmp_path / "m" / FILE).write_bytes((tmp_path / "small" / FILE).read_bytes())
    signed_again(tmp_path / "m")
    with pytest.raises(
        ExportError, match=r"belongs to another model: items and dimensions \(200, 16\), not \(300, 16\)"
    ):
        load_index(Recommender.load(tmp_path / "m"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (FILE, b"nonsense", "index.faiss in .* is broken: it is not a faiss index"),
        (ABOUT, b"{}", "index.json in .* is broken: 'format'"),
        (ABOUT, b"[", "index.json in .* is broken"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    write_checked(random_served(), tmp_path / "m", index="ivf")
    (tmp_path / "m" / name).write_bytes(content)
    signed_again(tmp_path / "m")
    with pytest.raises(ExportError, match=message):
        load_index(Recommender.load(tmp_path / "m"))


def test_an_index_of_another_kind_or_version_is_refused(tmp_path: Path) -> None:
    write_checked(random_served(), tmp_path / "m", index="ivf")
    about = json.loads((tmp_path / "m" / ABOUT).read_text())
    for change, message in (({"kind": "hnsw"}, "IndexIVF.*not of the kind hnsw"), ({"version": 9}, "version 9")):
        (tmp_path / "m" / ABOUT).write_text(json.dumps({**about, **change}))
        signed_again(tmp_path / "m")
        with pytest.raises(ExportError, match=message):
            load_index(Recommender.load(tmp_path / "m"))


def test_without_faiss_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(MissingPackage, match=r"An index of items needs the package faiss.*pip install faiss-cpu"):
        FaissIndex.build("ivf", np.zeros((3, 2), dtype=np.float32))


def test_a_catalogue_of_few_items(tmp_path: Path) -> None:
    for number in (1, 3, 12):
        write_checked(random_served(n_items=number), tmp_path / "m", index="ivf")
        model = Recommender.load(tmp_path / "m")
        index = load_index(model)
        assert index is not None
        assert sorted(index.find(model.items[1].numpy(), 50, index.most_effort).tolist()) == list(range(1, number + 1))


def test_queries_are_interests_of_the_model() -> None:
    model = random_model()
    queries = queries_of(model, 20)
    assert queries.shape == (20, 16) and bool(torch.isfinite(queries).all())
    assert torch.equal(queries, queries_of(model, 20)) and not torch.equal(queries, queries_of(model, 20, seed=1))
    served = replace(model.served)
    assert torch.equal(queries, queries_of(Recommender(served), 20))
