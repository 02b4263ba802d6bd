"""SeqEASE against plain numpy."""

from collections import Counter

import numpy as np
import pytest

from tests.plugin.baselines.computed.conftest import Made, Make


def plain_weights(made: Made, reg_weight: float, counts: bool = False) -> np.ndarray:
    """Equation 8 with numpy's own inverse."""
    histories = made.histories()
    users = np.zeros((len(histories), made.train.item_num))
    for row, events in enumerate(histories.values()):
        for item, _ in events:
            users[row, item] = users[row, item] + 1 if counts else 1
    inverse = np.linalg.inv(users.T @ users + reg_weight * np.eye(made.train.item_num))
    return np.eye(len(inverse)) - inverse @ np.diag(1 / np.diag(inverse))


def plain_scores(made: Made, weights: np.ndarray, counts: bool = False) -> np.ndarray:
    scores = []
    batch = made.batch
    for items, length in zip(batch["item_id_list"].tolist(), batch["item_length"].tolist(), strict=True):
        had = Counter(items[:length])
        scores.append(sum(weights[item] * (times if counts else 1) for item, times in had.items()))
    return np.array(scores)


@pytest.mark.parametrize("counts", [False, True])
def test_scores_are_those_of_plain_numpy(made: Make, counts: bool) -> None:
    tried = made("SeqEASE", reg_weight=3.5, history_counts=counts)
    weights = plain_weights(tried, 3.5, counts)
    assert np.allclose(np.diag(weights), 0)
    assert np.allclose(tried.model.weights.matrix.numpy(), weights, rtol=0, atol=1e-12)
    scores = tried.model.full_sort_predict(tried.batch)
    assert np.allclose(scores.numpy(), plain_scores(tried, weights, counts), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kept", [1, 3, 100])
def test_the_largest_weights_of_each_column_are_kept(made: Make, kept: int) -> None:
    tried = made("SeqEASE", reg_weight=2.0, kept_weights=kept)
    weights = plain_weights(tried, 2.0)
    for column in range(len(weights)):
        order = np.argsort(-np.abs(weights[:, column]))
        weights[order[kept:], column] = 0
    scores = tried.model.full_sort_predict(tried.batch)
    assert np.allclose(scores.numpy(), plain_scores(tried, weights), rtol=0, atol=1e-12)


def test_items_that_come_together_are_recommended(made: Make) -> None:
    rows = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user in range(40):  # pairs of neighbours: who has a has A
        items = [f"{letter}{case}" for letter in "abcd"[user % 4] for case in "12345"]
        rows += [f"u{user}\t{item}\t{place}" for place, item in enumerate(np.roll(items, user // 4))]
    tried = made("SeqEASE", inter="\n".join(rows) + "\n", reg_weight=1.0)
    scores = tried.model.full_sort_predict(tried.batch)
    best = tried.test.id2token("item_id", scores.topk(5, dim=1).indices[:, 0].numpy())
    target = tried.test.id2token("item_id", tried.batch["item_id"].numpy())
    assert [item[0] for item in best] == [item[0] for item in target]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reg_weight": 0}, r"reg_weight must be a number above 0; got 0\."),
        ({"reg_weight": "much"}, r"reg_weight must be a number above 0; got 'much'\."),
        ({"kept_weights": 0}, r"kept_weights must be a whole number of at least 1, or ~ for all weights; got 0\."),
        (
            {"memory_limit_gb": 1e-6},
            r"SeqEASE over 20 items needs about 0\.0 GB for 3 matrices of items by items, and memory_limit_gb is "
            r"1e-06\. Raise it if the machine has more, or filter rare items \(item_inter_num_interval\)\.",
        ),
    ],
)
def test_what_it_cannot_do_is_said(made: Make, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made("SeqEASE", **settings)
