"""The bandit finds the best strategy of each segment, and its counts outlive the process."""

import json
from pathlib import Path

import numpy as np
import pytest

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.strategies.bandit import PRIOR, Bandit

RATES = {"few": {"interest": 0.06, "similar": 0.12, "popular": 0.02}, "many": {"interest": 0.15, "similar": 0.03}}


def play(bandit: Bandit, segment: str, rounds: int, rates: dict[str, float], seed: int = 0) -> list[str]:
    """Answer, and click with the strategies' rates."""
    rng = np.random.default_rng(seed)
    chosen = []
    for _ in range(rounds):
        name = bandit.choose(segment, list(rates))
        chosen.append(name)
        bandit.feedback(segment, name, shown=1, clicked=int(rng.random() < rates[name]))
    return chosen


def test_the_best_strategy_of_each_segment_is_found() -> None:
    bandit = Bandit(seed=0)
    for segment, best in (("few", "similar"), ("many", "interest")):
        chosen = play(bandit, segment, 4000, RATES[segment])
        assert chosen[-1000:].count(best) > 850
        assert len(set(chosen[:500])) == len(RATES[segment])  # all were tried


def test_it_regrets_less_than_an_even_choice() -> None:
    bandit, rates = Bandit(seed=1), RATES["few"]
    chosen = play(bandit, "few", 4000, rates)
    lost = sum(max(rates.values()) - rates[name] for name in chosen)
    even = 4000 * (max(rates.values()) - np.mean(list(rates.values())))
    assert lost < 0.35 * even


def test_equal_seeds_choose_equally() -> None:
    assert play(Bandit(seed=3), "few", 50, RATES["few"]) == play(Bandit(seed=3), "few", 50, RATES["few"])
    assert play(Bandit(seed=3), "few", 50, RATES["few"]) != play(Bandit(seed=4), "few", 50, RATES["few"])


def test_a_change_of_taste_is_followed_with_a_memory() -> None:
    """After 3,000 rounds the rates change places; the last 1,000 of 3,000 more are looked at."""
    turned = {"interest": 0.12, "similar": 0.02}
    shares = []
    for memory in (300.0, None):
        bandit = Bandit(seed=5, memory=memory)
        play(bandit, "few", 3000, {"interest": 0.02, "similar": 0.12})
        shares.append(play(bandit, "few", 1500, turned, seed=1)[-500:].count("interest"))
    assert shares[0] > 350 > shares[1]


def test_rates_are_the_means_of_the_distributions() -> None:
    bandit = Bandit()
    bandit.feedback("few", "interest", shown=80, clicked=9)
    bandit.feedback("few", "interest", clicked=1)
    assert bandit.rates("few") == {"interest": ((PRIOR[0] + 10) / (sum(PRIOR) + 80), 80)}
    assert bandit.rates("nobody") == {}
    bandit.feedback("few", "new", clicked=2)  # clicks that come before what was shown
    assert bandit.rates("few")["new"][1] == 2


def test_counts_outlive_the_process(tmp_path: Path) -> None:
    bandit = Bandit(seed=2, memory=500)
    play(bandit, "few", 300, RATES["few"])
    bandit.save(tmp_path / "bandit.json")
    read = Bandit.load(tmp_path / "bandit.json", seed=2)
    assert read.to_json() == bandit.to_json() and read.rates("few") == bandit.rates("few") and read.memory == 500
    assert json.loads((tmp_path / "bandit.json").read_text())["format"] == "recbole-longinterest bandit"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "does not hold a bandit's counts, or was changed: format 'x', version 1"),
        ({"version": 2}, "version 2"),
        ({"counts": {"few": {"new": [1, 2]}}}, "few, new: 2 clicks of 1"),
        ({"counts": {"few": {"new": [-1, -2]}}}, "few, new: -2 clicks of -1"),
        ({"counts": {"few": {"new": ["a", 2]}}}, "could not convert"),
        ({"counts": {"few": {"new": 3}}}, "cannot unpack"),
        ({"counts": []}, "no attribute 'items'"),
        ({"memory": -1}, "memory must be above 0, or None; got -1"),
    ],
)
def test_files_that_were_changed_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    content = json.loads(Bandit().to_json())
    (tmp_path / "b.json").write_text(json.dumps({**content, **change}))
    with pytest.raises(LongInterestError, match=message):
        Bandit.load(tmp_path / "b.json")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(LongInterestError, match=r"The bandit's file .* does not exist"):
        Bandit.load(tmp_path / "none.json")
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(LongInterestError, match="is not JSON, or was cut short"):
        Bandit.load(tmp_path / "b.json")
    (tmp_path / "b.json").write_text("[]")
    with pytest.raises(LongInterestError, match="does not hold a bandit's counts"):
        Bandit.load(tmp_path / "b.json")


def test_numbers_below_zero_are_refused() -> None:
    with pytest.raises(LongInterestError, match="shown and clicked must be at least 0; got -1 and 0"):
        Bandit().feedback("few", "new", shown=-1)


def test_a_text_of_counts() -> None:
    bandit = Bandit(memory=100)
    bandit.feedback("few", "new", shown=9, clicked=4)
    again = Bandit.from_json(bandit.to_json(), "the store")
    assert again.rates("few") == bandit.rates("few") and again.memory == 100
    with pytest.raises(LongInterestError, match="the store does not hold a bandit's counts"):
        Bandit.from_json("[]", "the store")
    with pytest.raises(LongInterestError, match="the store does not hold a bandit's counts: it is not JSON"):
        Bandit.from_json("{", "the store")


def test_a_bandit_follows_another_one() -> None:
    bandit, other = Bandit(), Bandit()
    bandit.feedback("few", "new", shown=1)
    other.feedback("few", "new", shown=9, clicked=4)
    bandit.follow(other)
    assert bandit.rates("few") == other.rates("few")
    other.feedback("few", "new", shown=9)
    assert bandit.rates("few")["new"][1] == 9.0  # the counts are its own
