"""TALE against a literal reading of its equations."""

import math

import numpy as np
import pytest

from recbole_longinterest.plugin.baselines.computed import tale
from recbole_longinterest.plugin.baselines.computed.tale import recent_events
from tests.plugin.baselines.computed.conftest import Made, Make

DAY = 86_400


def literal(made: Made, window: int, reg: float, tau: float, floor: float, days: float, power: float) -> np.ndarray:
    """Every target, every source, one after the other."""
    histories = list(made.histories().values())
    every = [event for events in histories for event in events]

    def popularity(item: int, time: float) -> int:
        return sum(other == item and time - days * DAY <= when <= time for other, when in every)

    sources, targets = [], []
    for events in histories:
        for place in range(1, len(events)):
            source, target = np.zeros(made.train.item_num), np.zeros(made.train.item_num)
            item, time = events[place]
            target[item] = popularity(item, time) ** -power
            for before, when in events[max(0, place - window) : place]:
                weight = max(math.exp(-(time - when) / DAY / tau), floor)
                source[before] += weight * popularity(before, when) ** -power
            sources.append(source)
            targets.append(target)
    one, other = np.array(sources), np.array(targets)
    return np.linalg.inv(one.T @ one + reg * np.eye(one.shape[1])) @ one.T @ other


@pytest.mark.parametrize(("floor", "power", "window"), [(0.0, 0.0, 50), (0.3, 0.5, 50), (0.3, 1.0, 2)])
@pytest.mark.parametrize("pairs", [20, 2**22])
def test_weights_are_those_of_the_equations(
    made: Make, monkeypatch: pytest.MonkeyPatch, floor: float, power: float, window: int, pairs: int
) -> None:
    monkeypatch.setattr(tale, "PAIRS", pairs)  # in one part and in many
    given = {"reg_weight": 0.7, "tau_train": 2.0, "interval_floor": floor, "trend_power": power, "trend_days": 3.0}
    tried = made("TALE", MAX_ITEM_LIST_LENGTH=window, **given)
    expected = literal(tried, window, 0.7, 2.0, floor, 3.0, power)
    assert np.allclose(tried.model.weights.matrix.numpy(), expected, rtol=0, atol=1e-7)  # times are float32


def test_later_events_weigh_more_at_evaluation(made: Make) -> None:
    tried = made("TALE", tau_inf=1.5, reg_weight=0.7)
    batch = tried.batch
    scores = tried.model.full_sort_predict(batch).numpy()
    weights = tried.model.weights.matrix.numpy()
    for row, length in enumerate(batch["item_length"].tolist()):
        items = batch["item_id_list"][row, :length].tolist()
        expected = sum(weights[item] * math.exp(-back / 1.5) for back, item in enumerate(reversed(items)))
        assert np.allclose(scores[row], expected, rtol=0, atol=1e-12)


def test_popularity_is_counted_in_a_window_up_to_the_event() -> None:
    item = np.array([1, 1, 2, 1, 1])
    days = np.array([0.0, 1.0, 1.5, 2.0, 2.0])
    assert recent_events(item, days, 1.0).tolist() == [1, 2, 1, 3, 3]
    assert recent_events(item, days, 0.0).tolist() == [1, 1, 1, 2, 2]
    assert recent_events(item, days, 99.0).tolist() == [1, 2, 1, 4, 4]


def test_a_planted_order_is_learned_and_a_shuffled_one_is_not(made: Make) -> None:
    found = []
    for shuffled in (False, True):
        rng = np.random.default_rng(0)
        rows = ["user_id:token\titem_id:token\ttimestamp:float"]
        for user in range(60):
            items = (np.arange(8) + user) % 20
            items = rng.permutation(20)[:8] if shuffled else items
            rows += [f"u{user}\ti{item}\t{place * DAY}" for place, item in enumerate(items)]
        tried = made("TALE", inter="\n".join(rows) + "\n", reg_weight=1.0, tau_train=1.0, tau_inf=0.5)
        best = tried.model.full_sort_predict(tried.batch).argmax(dim=1)
        found.append(float((best == tried.batch["item_id"]).double().mean()))
    assert found[0] == 1.0 and found[1] < 0.3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tau_train": 0}, r"tau_train must be a number above 0; got 0\."),
        ({"tau_inf": -1}, r"tau_inf must be a number above 0; got -1\."),
        ({"trend_power": -0.5}, r"trend_power must be a number of at least 0; got -0\.5\."),
        ({"memory_limit_gb": 1e-6}, "TALE over 20 items needs about"),
    ],
)
def test_what_it_cannot_do_is_said(made: Make, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made("TALE", **settings)
