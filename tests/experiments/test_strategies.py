"""The report names the best strategy of a group where the figures do, and says so where they do not."""

import numpy as np
import pytest

from recbole_longinterest.experiments.documents import markdown, page
from recbole_longinterest.experiments.strategies import FEWEST, groups_of, mix_lines, ndcg, report, verdict_of
from recbole_longinterest.serving.rules import read_rules
from recbole_longinterest.serving.strategies import strategy_names
from recbole_longinterest.serving.strategies.held_out import HeldOut

B = 400


def ranks_of(first: float, seed: int) -> np.ndarray:
    """Ranks of which a share is 1, and the others are beyond the tenth place."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(B) < first, 1.0, 50.0)


def held_out(popular: bool = True, inside: float | None = 0.5) -> HeldOut:
    """Similar is best for short histories, interest for long ones; of one event before there are ten users."""
    events = np.repeat([1, 5, 60], [10, 190, 200])
    long = events > 9
    interest = np.where(long, ranks_of(0.6, 0), ranks_of(0.1, 1))
    similar = np.where(long, ranks_of(0.1, 2), ranks_of(0.6, 3))
    ranks = {"interest": interest, "similar": similar, "popular": ranks_of(0.1, 4), "new": np.full(B, np.inf)}
    ranks["mix"] = np.full(B, 1.0)  # never called the best: it is no strategy of its own
    counts = np.tile([0, 1, 5, 40], B // 4) if popular else None
    return HeldOut(events, counts, ranks, {"content": "this model reads no texts"}, inside, 7)


def test_ndcg_by_rank() -> None:
    assert ndcg(np.array([1, 3, 10, 11, np.inf])).tolist() == pytest.approx([1, 0.5, 1 / np.log2(11), 0, 0])


def test_every_user_is_in_one_group_of_a_kind() -> None:
    groups = groups_of(held_out())
    assert list(groups["Events before"]) == ["1 event", "2 to 9", "50 and more"]
    assert len(groups["Recent events of the item"]) == 4
    for masks in groups.values():
        assert (sum(mask.astype(int) for mask in masks.values()) == 1).all()
    assert list(groups_of(held_out(popular=False))) == ["Events before"]


def test_the_best_of_each_group() -> None:
    found = held_out()
    groups = groups_of(found)["Events before"]
    short, long = (verdict_of(name, found, groups[name]) for name in ("2 to 9", "50 and more"))
    assert (short.best, short.clear, long.best, long.clear) == ("similar", True, "interest", True)
    assert short.low < float((ndcg(found.ranks["similar"]) - ndcg(found.ranks[short.second]))[groups["2 to 9"]].mean())
    few = verdict_of("1 event", found, groups["1 event"])
    assert few.users < FEWEST and not few.best and not few.clear
    both = verdict_of("all", found, np.ones(B, dtype=bool))
    assert {both.best, both.second} == {"interest", "similar"} and not both.clear


def test_the_report_says_all_of_it() -> None:
    blocks = report(held_out(), "exported", "events.csv")
    said = markdown(blocks)
    for part in (
        "but not clearly ahead of",
        "7 more users were left out at random",
        "50% of the held-out events are not later than the training's last event",
        "content is left out: this model reads no texts",
        "| 2 to 9 | 190 | similar | ",
        "| 1 event | 10 | fewer than 30 users, or no hit |",
        "{events: {min: 50}, shares: {interest: 0.9, new: 0.1}}",
    ):
        assert part in said
    html = page(blocks, "Strategies")
    assert html.startswith("<!doctype html>") and "similar" in html and "<script" not in html
    assert "not later than" not in markdown(report(held_out(inside=0.0), "m", "h"))


def test_its_mix_can_be_put_into_the_rules() -> None:
    found = held_out()
    verdicts = [verdict_of(name, found, mask) for name, mask in groups_of(found)["Events before"].items()]
    text = "mix:\n" + "\n".join(f"  - {line}" for line in mix_lines(verdicts))
    assert [dict(rule.shares) for rule in read_rules(text, "shop.yaml", strategy_names()).mix] == [
        {"similar": 0.9, "new": 0.1},
        {"interest": 0.9, "new": 0.1},
    ]
    assert mix_lines([]) == ["no group has enough users"]


def test_too_few_users_for_a_best_one() -> None:
    found = held_out()
    few = HeldOut(found.events[:5], None, {name: ranks[:5] for name, ranks in found.ranks.items()}, {}, None, 0)
    assert "Too few users (5) or no hit: no strategy can be called the best." in markdown(report(few, "m", "h"))
