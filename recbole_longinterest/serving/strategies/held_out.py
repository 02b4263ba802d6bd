"""Evaluate each strategy: how well it predicts the last event of each history from the events before."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.events import History
from recbole_longinterest.serving.index.search import VectorSearch
from recbole_longinterest.serving.scorer import Scorer
from recbole_longinterest.serving.strategies.shop import MIX, Shop
from recbole_longinterest.serving.strategies.transitions import Transitions
from recbole_longinterest.serving.visitor import Visitor

PLACES = 10
USERS = 5000


@dataclass(frozen=True)
class HeldOut:
    """Ranks of the held-out events, one per user.

    Attributes:
        events: number of events before the held-out one, [B].
        popularity: recent events of its item in the training data, [B]; None for an export without counts.
        ranks: ranks by strategy, [B], from 1; infinite if a strategy does not rank the item. Ties share their mean
            rank. ``mix`` has only ranks up to 10.
        missing: strategies that cannot be used, with the reason.
        inside: share of held-out events not later than the training's last event; None without times.
        left_out: number of users left out by the limit on users.
    """

    events: NDArray[np.int64]
    popularity: NDArray[np.int64] | None
    ranks: dict[str, NDArray[np.float64]]
    missing: dict[str, str]
    inside: float | None
    left_out: int


def hold_out(
    scorer: Scorer,
    histories: Mapping[Any, History],
    rules: str | Path | None = None,
    users: int = USERS,
    seed: int = 0,
) -> HeldOut:
    """Rank the last event of each history with every strategy.

    Seen items are excluded from the rankings, except the held-out item. ``together`` counts the pairs of all histories
    without their last events.

    Args:
        scorer: the model.
        histories: histories by user; those without a known event are ignored.
        rules: rules file with the mix to evaluate; None for the default mix.
        users: maximum number of users, sampled at random.
        seed: random seed.

    Raises:
        LongInterestError: if no history has a known event; and as :class:`Shop`.
    """
    known = [history for history in histories.values() if len(history)]
    if not known:
        raise LongInterestError("No user has an event with an item that the model knows.")
    before = [history.keep(slice(0, -1)) for history in known]
    counted = Transitions.from_histories([part.item_seq for part in before], scorer.n_items + 1)
    shop = Shop(scorer, rules=rules, search=VectorSearch(scorer), followers=counted, seed=seed)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(known))[:users])
    targets = np.array([known[row].item_seq[-1] for row in chosen])
    times = np.array([known[row].time[-1] for row in chosen])
    asked = [replace(before[row], at=float(time)) for row, time in zip(chosen, times, strict=True)]
    interests = _interests(scorer, asked)
    missing = {name: why for name, why in shop.available().items() if why}
    able = [name for name in shop.available() if name not in missing]
    ranks = {name: np.full(len(chosen), np.inf) for name in (*able, MIX)}
    for place, (row, target) in enumerate(zip(chosen, targets.tolist(), strict=True)):
        visitor = Visitor.with_interest(before[row], interests[place], float(times[place]))
        hidden = visitor.seen - {target}
        for name in able:
            ranking = shop.strategy(name).ranking(visitor, np.random.default_rng([seed, place]))
            if ranking is not None:
                ranks[name][place] = rank_of(target, ranking.scores_of_all(scorer.n_items + 1), hidden)
        tokens = [scorer.served.items.tokens[item] for item in hidden]
        answer = shop.recommend(visitor, PLACES, exclude_seen="none", exclude=tokens, adult=True, seed=seed + place)
        found = [scorer.item_id(item.item) for item in answer.items]
        if target in found:
            ranks[MIX][place] = 1 + found.index(target)
    counts = scorer.served.items.recent
    training = scorer.reader.times.training
    dated = times[~np.isnan(times)]
    return HeldOut(
        events=np.array([len(before[row]) for row in chosen]),
        popularity=None if counts is None else np.array(counts)[targets],
        ranks=ranks,
        missing=missing,
        inside=None if training is None or not len(dated) else float((dated <= training.last).mean()),
        left_out=len(known) - len(chosen),
    )


def rank_of(target: int, scores: NDArray[np.float32], hidden: frozenset[int]) -> float:
    """Return the rank of an item among all items that are not hidden, from 1; infinite for score ``-inf``.

    Ties share their mean rank.

    Args:
        target: internal id.
        scores: scores of all items, [N].
        hidden: internal ids, without the target.
    """
    own = scores[target]
    if own == -np.inf:
        return np.inf
    left = np.fromiter(hidden, np.int64, len(hidden))
    above = int((scores[1:] > own).sum() - (scores[left] > own).sum())
    equal = int((scores[1:] == own).sum() - (scores[left] == own).sum())
    return 1 + above + (equal - 1) / 2


def _interests(scorer: Scorer, histories: list[History]) -> list[Tensor | None]:
    """Compute interest vectors, [1, D] each; None for an empty history."""
    rows = [row for row, history in enumerate(histories) if len(history)]
    found: list[Tensor | None] = [None] * len(histories)
    if rows:
        for row, vector in zip(rows, scorer.interest([histories[row] for row in rows]), strict=True):
            found[row] = vector.unsqueeze(0)
    return found
