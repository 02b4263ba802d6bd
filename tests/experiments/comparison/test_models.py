"""Counted baselines against counting, SASRec+text against its parts."""

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

from recbole_longinterest.experiments.comparison import data
from recbole_longinterest.experiments.comparison.cell import Cell
from recbole_longinterest.experiments.comparison.models import LastItemMarkov, PopularItems, SASRecText


def build(cell: Cell) -> tuple[Any, Any, Any]:
    config = cell.config()
    train, _, test = data.make_dataset(config).build()
    return config, train, test


def histories(train: Any, test: Any) -> dict[int, list[int]]:
    """Each user's items up to its last two, which are held out; of three events the last alone is (as in RecBole)."""
    rows = test.inter_feat
    log = test.event_log["item_id_list"]
    spans = zip(rows["user_id"].tolist(), rows.history_start().tolist(), rows.position.tolist(), strict=True)
    return {user: log[begin : end - (end - begin > 2)].tolist() for user, begin, end in spans}


def test_popularity_counts_the_training_events(cell: Callable[..., Cell]) -> None:
    config, train, test = build(cell("Pop"))
    counted = Counter(item for items in histories(train, test).values() for item in items)
    model = PopularItems(config, train)
    scores = model.full_sort_predict(test[:4])
    assert scores.shape == (4, train.item_num)
    assert scores[2].tolist() == [counted[item] for item in range(train.item_num)]
    assert torch.equal(model.predict(test[:4]), scores.gather(1, test[:4]["item_id"].unsqueeze(1)).squeeze(1).float())


def test_markov_counts_what_followed(cell: Callable[..., Cell]) -> None:
    config, train, test = build(cell("Markov"))
    followed: Counter[tuple[int, int]] = Counter()
    popular: Counter[int] = Counter()
    for items in histories(train, test).values():
        followed.update(itertools.pairwise(items))
        popular.update(items)
    model = LastItemMarkov(config, train)
    batch = test[:]
    scores = model.full_sort_predict(batch)
    last = batch["item_id_list"].gather(1, batch["item_length"].unsqueeze(1) - 1).flatten().tolist()
    total = sum(popular.values()) + 1
    for row, item in enumerate(last):
        expected = [followed[item, other] + popular[other] / total for other in range(train.item_num)]
        assert scores[row].tolist() == pytest.approx(expected)
    assert torch.equal(model.predict(batch), scores.gather(1, batch["item_id"].unsqueeze(1)).squeeze(1).float())


def test_sasrec_reads_the_texts_and_learns_their_projection(cell: Callable[..., Cell]) -> None:
    config, train, _ = build(cell("SASRec+text"))
    model = SASRecText(config, train)
    embedding = model.item_embedding
    embedding.text.fill()
    expected = embedding.item.weight + embedding.text.vectors @ embedding.projection.weight.T
    assert torch.allclose(embedding.weight, expected) and embedding.text.present[1:].all()
    assert embedding.text.vectors[1:].abs().sum() > 0
    model.calculate_loss(train[:16]).backward()
    assert all(weights.grad is not None and weights.grad.abs().sum() > 0 for weights in embedding.parameters())


def test_sasrec_without_texts_is_an_error(cell: Callable[..., Cell]) -> None:
    with pytest.raises(ValueError, match="tiny has none: text_fields names no column"):
        build(cell("SASRec+text", text_fields=None))


@pytest.mark.parametrize("name", ["SeqEASE", "TALE", "VSKNN", "STAN"])
def test_models_that_are_computed_have_one_epoch_beside_others_that_have_more(
    cell: Callable[..., Cell], name: str
) -> None:
    made = cell(name, run=True, epochs=7)
    result = made.result()
    assert result is not None and result["epochs"] == 1 and made.finished
    assert made.config()["epochs"] == 1


def test_ease_is_recboles_own_and_seqease_is_not(cell: Callable[..., Cell]) -> None:
    own, theirs = (cell(name).config().model_class for name in ("SeqEASE", "EASE"))
    assert theirs.__module__ == "recbole.model.general_recommender.ease"
    assert own.__module__ == "recbole_longinterest.plugin.baselines.computed.ease"
