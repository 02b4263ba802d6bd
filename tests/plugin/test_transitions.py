"""The memory in a run: what it counts, and that training does not see it."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from recbole.config import Config
from recbole.data.utils import create_dataset, data_preparation
from recbole.utils import get_model, init_seed

from recbole_longinterest.nn.memory import last_items
from recbole_longinterest.nn.transitions import BACKWARD, LAG_DECAY, LAGS
from recbole_longinterest.plugin.longinterest import LongInterest
from recbole_longinterest.training import pipeline


def training_histories(rows: Any) -> list[list[int]]:
    """Items of the training events of each user, from RecBole's own rows: the longest history and its target."""
    found: dict[int, list[int]] = {}
    columns = (rows[field] for field in ("user_id", "item_length", "item_id_list", "item_id"))
    for user, length, items, target in zip(*(column.tolist() for column in columns), strict=True):
        history = [*items[:length], target]
        if len(history) > len(found.get(user, [])):
            found[user] = history
    return list(found.values())


def built(config: Config) -> tuple[LongInterest, Any]:
    init_seed(config["seed"], True)
    parts = data_preparation(config, create_dataset(config))
    init_seed(config["seed"], True)
    return get_model(config["model"])(config, parts[0]._dataset), parts


def test_the_counts_are_those_of_the_training_events_alone(small_config: Callable[..., Config]) -> None:
    model, (train, _, _) = built(small_config(MAX_ITEM_LIST_LENGTH=1000))
    model.prepare()
    expected = torch.zeros(model.n_items, model.n_items)
    support = torch.zeros(model.n_items)
    for items in training_histories(train._dataset.inter_feat):
        for one, _ in pairwise(items):
            support[one] += 1
        for place, one in enumerate(items):
            for lag, other in enumerate(items[place + 1 : place + 1 + LAGS]):
                if one != other:
                    expected[one, other] += LAG_DECAY**lag
                    expected[other, one] += BACKWARD * LAG_DECAY**lag
    assert model.memory is not None
    counts = torch.zeros_like(expected).scatter_add_(1, model.memory.followers.long(), model.memory.counts)
    torch.testing.assert_close(counts, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.memory.support, support)


def test_scores_are_the_networks_and_the_memorys(small_config: Callable[..., Config]) -> None:
    model, (_, valid, _) = built(small_config(memory_weight=2.0))
    model.prepare()
    without, _ = built(small_config(memory=False))
    without.load_state_dict({name: value for name, value in model.state_dict().items() if "memory." not in name})
    batch = next(iter(valid))[0]
    with torch.no_grad():
        both, alone = model.eval().full_sort_predict(batch), without.eval().full_sort_predict(batch)
        recent = last_items(batch["item_id_list"], batch["item_length"])
        assert model.memory is not None
        torch.testing.assert_close(both, model.memory.add_to(alone.clone(), recent))
        assert (both - alone).abs().max() > 0.1
        column = batch.interaction | {"item_id": torch.full((len(batch),), 3)}
        batch.interaction = column
        torch.testing.assert_close(model.predict(batch), both[:, 3], rtol=1e-5, atol=1e-5)


def test_training_does_not_see_the_memory(small_config: Callable[..., Config]) -> None:
    states = []
    for memory in (True, False):
        trained = pipeline.train(small_config(memory=memory, epochs=2, valid_metric="Recall@10"), saved=False)
        states.append(dict(trained.trainer.model.named_parameters()))
    assert states[0].keys() == states[1].keys()
    for name, weight in states[0].items():
        torch.testing.assert_close(weight, states[1][name], rtol=0, atol=0, msg=name)
