"""Recommendations to many users by an index are those of every item's score, whatever is asked for."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_longinterest.serving.by_index import ByIndex
from recbole_longinterest.serving.index.faiss_index import FaissIndex
from recbole_longinterest.serving.index.search import VectorSearch
from recbole_longinterest.serving.model_folder import write_folder
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.strategies.base import Context
from recbole_longinterest.serving.strategies.interest import Interest
from recbole_longinterest.serving.strategies.memory import terms_of
from tests.served import WITH_MEMORY, random_model, random_served, write_histories

pytest.importorskip("faiss")
N_ITEMS = 2000


@pytest.mark.parametrize(
    "options",
    [
        {"k": 5},
        {"k": 3, "exclude_seen": "buy"},
        {"k": 4, "exclude_seen": "none", "exclude": [f"i{n}" for n in range(0, N_ITEMS, 2)]},
        {"k": 2, "candidates": ["i1", "i2", "i3", "i5"]},
    ],
)
def test_every_item_scored_gives_the_same(options: dict[str, object], tmp_path: Path) -> None:
    model = random_model(WITH_MEMORY, N_ITEMS)
    index = FaissIndex.build("ivf", model.items.numpy())
    index.effort = {10: index.most_effort}  # what is tested is not the recall
    by_index = ByIndex.__new__(ByIndex)
    by_index.model, by_index._rng = model, np.random.default_rng(0)
    by_index._strategy = Interest(Context(model, VectorSearch(model, index), terms=terms_of(model)))
    histories = model.read_table(pd.read_csv(write_histories(tmp_path / "h.csv", users=6)))
    histories["nobody"] = model.reader.read([])
    wanted, found = model.recommend_histories(histories, **options), by_index.recommend_histories(histories, **options)
    assert list(found) == list(wanted)
    for user, one in found.items():
        other = wanted[user]
        assert [each.item for each in one.items] == [each.item for each in other.items]
        assert [each.score for each in one.items] == pytest.approx([each.score for each in other.items], abs=1e-4)
        assert (one.events, one.unknown, one.problem, one.basis) == (
            other.events,
            other.unknown,
            other.problem,
            other.basis,
        )


def test_an_export_without_an_index_is_refused(tmp_path: Path) -> None:
    write_folder(random_served(n_items=20), tmp_path / "m")
    with pytest.raises(ValueError, match=r"m has no index\. Export the model with --index ivf or --index hnsw, or le"):
        ByIndex(Recommender.load(tmp_path / "m"))
