"""VSKNN and STAN against a slow literal reading."""

import math
from typing import Any

import numpy as np
import pytest

from recbole_longinterest.plugin.baselines.computed import neighbours
from recbole_longinterest.plugin.baselines.computed.neighbours import windows_of
from tests.plugin.baselines.computed.conftest import Made, Make

DAY = 86_400
Session = tuple[int, list[int], float]


def sessions_of(made: Made, length: int) -> list[Session]:
    """User, items and time in days of each training sequence."""
    found = []
    for user, events in sorted(made.histories().items()):
        begin = 0
        while True:
            part = events[begin : begin + length]
            found.append((user, [item for item, _ in part], part[-1][1] / DAY))
            if begin + length >= len(events):
                break
            begin += length // 2
    return found


def place(items: list[int], item: int) -> int:
    """The last position of an item, from 1."""
    return len(items) - items[::-1].index(item)


def literal(made: Made, name: str, **given: Any) -> np.ndarray:
    """Row by row, sequence by sequence."""
    sessions = sessions_of(made, given["session_length"])
    counts = made.train.training_events().numpy()
    batch, scores = made.batch, []
    for row, length in enumerate(batch["item_length"].tolist()):
        query = batch["item_id_list"][row, :length].tolist()[-given["query_length"] :]
        now = float(batch["timestamp_list"][row, length - 1]) / DAY
        weight = {}
        for spot, item in enumerate(query, start=1):
            back = len(query) - spot
            weight[item] = spot / len(query) if name == "VSKNN" else math.exp(-back / given["recency_decay"])
        others = [
            (number, items, day)
            for number, (user, items, day) in enumerate(sessions)
            if user != int(batch["user_id"][row]) and set(items) & set(query)
        ]
        others = sorted(others, key=lambda each: (-each[2], each[0]))[: given["sample_size"]]
        ranked = []
        for number, items, day in others:
            product = sum(weight.get(item, 0.0) for item in set(items))
            if name == "STAN":
                product /= math.sqrt(len(query)) * math.sqrt(len(set(items)))
                product *= math.exp(-abs(now - day) / given["day_decay"])
            ranked.append((product, number, items))
        line = counts / (counts.sum() + 1) * 1e-9
        for product, _, items in sorted(ranked, key=lambda each: -each[0])[: given["neighbours"]]:
            shared = max((item for item in set(items) if item in query), key=lambda item: place(query, item))
            for item in set(items):
                far = abs(place(items, item) - place(items, shared))
                line[item] += product * (1.0 if name == "VSKNN" else math.exp(-far / given["distance_decay"]))
        scores.append(line)
    return np.array(scores)


STAN = {"recency_decay": 1.5, "day_decay": 4.0, "distance_decay": 2.0}


@pytest.mark.parametrize(("name", "own"), [("VSKNN", {}), ("STAN", STAN)], ids=["VSKNN", "STAN"])
@pytest.mark.parametrize(
    "sizes",
    [(4, 3, 1000, 200), (7, 9, 6, 1000), (20, 5, 12, 3), (4, 1, 5, 2)],
    ids=lambda sizes: "-".join(map(str, sizes)),
)
@pytest.mark.parametrize("entries", [30, 2**22])
def test_scores_are_those_of_a_slow_reading(
    made: Make,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    own: dict[str, float],
    sizes: tuple[int, int, int, int],
    entries: int,
) -> None:
    monkeypatch.setattr(neighbours, "ENTRIES", entries)
    keys = ("session_length", "query_length", "sample_size", "neighbours")
    given = {**own, **dict(zip(keys, sizes, strict=True))}
    tried = made(name, **given)
    scores = tried.model.full_sort_predict(tried.batch).numpy()
    assert np.allclose(scores, literal(tried, name, **given), rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("name", ["VSKNN", "STAN"])
def test_what_followed_the_last_items_is_found(made: Make, name: str) -> None:
    rows = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user in range(40):
        rows += [f"u{user}\ti{(place + user) % 20}\t{place * DAY}" for place in range(9)]
    tried = made(name, inter="\n".join(rows) + "\n", query_length=2, session_length=4)
    scores = tried.model.full_sort_predict(tried.batch)
    scores.scatter_(1, tried.batch["item_id_list"], -1)  # a neighbour's items that the user has had
    best = scores.topk(2, dim=1).indices
    assert (best == tried.batch["item_id"].unsqueeze(1)).any(dim=1).all()


def test_sequences_cover_all_events() -> None:
    begin = np.array([0] * 9 + [9] + [10] * 4)
    start, end = windows_of(begin, 4)
    assert list(zip(start.tolist(), end.tolist(), strict=True)) == [
        *((0, 4), (2, 6), (4, 8), (6, 9)),
        *((9, 10), (10, 14)),
    ]


def test_users_without_neighbours_get_popular_items(made: Make) -> None:
    rows = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user in range(6):
        rows += [f"u{user}\ti{user}{place if user else place % 2}\t{place}" for place in range(6)]
    tried = made("VSKNN", inter="\n".join(rows) + "\n")
    scores = tried.model.full_sort_predict(tried.batch)
    assert scores.max() < 1e-9 and (scores.argmax(dim=1) == tried.train.training_events().argmax()).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"session_length": 1}, r"session_length must be a whole number of at least 2; got 1\."),
        ({"neighbours": 0.5}, r"neighbours must be a whole number of at least 1; got 0\.5\."),
        ({"day_decay": 0}, r"day_decay must be a number above 0; got 0\."),
    ],
)
def test_what_it_cannot_do_is_said(made: Make, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made("STAN", **settings)
