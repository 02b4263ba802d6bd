"""Explain an item's score by the share of each past event and of each source.

There are three methods. *Removal* removes each event in turn and measures how much the score falls; it needs one
forward pass per event. *Gradients* are integrated gradients (Sundararajan et al. 2017) by the optional package captum:
the parts of all events are scaled from zero to their values, so the shares sum to the change of the score. *Attention*
is the model's own attention to each event, the same for every recommended item. `benchmarks/deletion.py` tests which
method finds the events that matter: removal and gradients do, attention does not.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.packages import require
from recbole_longinterest.serving.events import History
from recbole_longinterest.serving.results import EventShare, Explanation
from recbole_longinterest.serving.scorer import Scorer

STEPS = 32  # of integrated gradients
DEFAULT_METHOD = "removal"
TRANSITIONS = "transitions"  # source name of the memory of transitions
REQUEST = "request_time"  # source name of the request time
NEW = "new_item"  # source name of the lift of new items
POSITIONS = 2**16  # positions of histories encoded at once
MOST_EVENTS = 5000  # maximum history length; the work is quadratic in it


def explain_history(scorer: Scorer, history: History, item: int, method: str = DEFAULT_METHOD) -> Explanation:
    """Explain the score of one item for one user.

    Args:
        scorer: the model.
        history: a history with at least one event.
        item: internal id.
        method: ``"removal"``, ``"gradients"`` or ``"attention"``.

    Raises:
        LongInterestError: for an unknown method, a method whose package is not installed, or a history of more than
            ``MOST_EVENTS`` events.
    """
    if method not in METHODS:
        raise LongInterestError(f"method must be one of {', '.join(METHODS)}; got {method!r}.")
    history = scorer.windowed(history)
    if len(history) > MOST_EVENTS:
        raise LongInterestError(
            f"Histories of up to {MOST_EVENTS:,} events can be explained; this one has {len(history):,}. "
            "Give only the last events, or recommend without an explanation."
        )
    events, sources = METHODS[method](scorer, history, item)
    of_memory = memory_parts(scorer, history, item)
    if of_memory is not None:
        sources = {**sources, TRANSITIONS: float(of_memory.sum())}
        if method == "gradients":  # which cover only the network
            events = events + of_memory
    if item in scorer.lifted:
        sources = {**sources, NEW: scorer.lift}
    if scorer.network.request is not None:
        sources = {**sources, REQUEST: request_part(scorer, history, item)}
    weights = attention(scorer, history, item)[0].tolist()
    items = scorer.served.items
    kinds = [None] * len(history) if history.behavior is None else history.behavior.tolist()
    return Explanation(
        method,
        [
            EventShare(
                items.tokens[i],
                items.titles[i],
                share,
                weight,
                None if math.isnan(time) else time,
                scorer.reader.times.date_of(time),
                behavior,
                times,
            )
            for i, share, weight, time, behavior, times in zip(
                history.item_seq.tolist(),
                _shares(events).tolist(),
                weights,
                history.time.tolist(),
                kinds,
                followed(scorer, history, item),
                strict=True,
            )
        ],
        dict(zip(sources, _shares(torch.tensor(list(sources.values()))).tolist(), strict=True)),
    )


def memory_parts(scorer: Scorer, history: History, item: int) -> Tensor | None:
    """Split the memory's score of an item among the events that contribute to it, [L].

    Returns:
        The parts; None for a model without a memory of transitions.
    """
    memory = scorer.network.memory
    if memory is None:
        return None
    recent = scorer.recent([history])
    given = torch.from_numpy(memory.of_events(recent[0].numpy(), item))  # latest event first
    score = memory.of_items(recent, torch.tensor([item]))
    out, number = torch.zeros(len(history)), min(len(history), len(given))
    out[len(history) - number :] = _shares(given)[:number].flip(0) * score
    return out


def followed(scorer: Scorer, history: History, item: int) -> list[int]:
    """Number of times that an item followed each event's item in the training data, see :class:`EventShare`, [L]."""
    out = [0] * len(history)
    if scorer.network.memory is not None:
        latest_first = scorer.network.memory.occurrences_of(scorer.recent([history])[0].numpy(), item)
        for place, times in enumerate(latest_first[: len(history)]):
            out[-1 - place] = times
    return out


def _shares(values: Tensor) -> Tensor:
    total = values.abs().sum()
    return values / total if total > 0 else values


@torch.no_grad()
def attention(scorer: Scorer, history: History, item: int) -> tuple[Tensor, dict[str, float]]:
    """Return the attention after the last event, mean over the heads, [L], and the sources by removal."""
    network = scorer.network
    if network.interest_encoder.attention is None:
        return torch.zeros(len(history)), _sources_by_removal(scorer, history, item)
    fused = fuse_parts(scorer, event_parts(scorer, history))
    states = network.interest_encoder.rnn(fused)
    scores, _ = network.interest_encoder.attention.scored(fused, states)  # [1, L, K]
    return scores[0].softmax(dim=0).mean(dim=1), _sources_by_removal(scorer, history, item)


@torch.no_grad()
def removal(scorer: Scorer, history: History, item: int) -> tuple[Tensor, dict[str, float]]:
    """Compute how much the score falls without each event, [L], and without each source in all events."""
    number = len(history)
    if number == 1:
        return torch.ones(1), _sources_by_removal(scorer, history, item)
    keep = ~torch.eye(number, dtype=torch.bool).numpy()
    without = []
    for begin in range(0, number, step := max(1, POSITIONS // number)):
        without.append(scores_without(scorer, history, item, keep[begin : begin + step]))
    return score_of(scorer, history, item) - torch.cat(without), _sources_by_removal(scorer, history, item)


def gradients(scorer: Scorer, history: History, item: int) -> tuple[Tensor, dict[str, float]]:
    """Compute integrated gradients of the score by event, [L], and by source."""
    require("captum", "Explaining by gradients")
    from captum.attr import IntegratedGradients

    parts = event_parts(scorer, history)
    names = list(parts)

    def score(*given: Tensor) -> Tensor:
        return _score_of_parts(scorer, history, dict(zip(names, given, strict=True)), item)

    with torch.enable_grad():
        found = IntegratedGradients(score).attribute(
            tuple(part.clone().requires_grad_() for part in parts.values()),
            n_steps=STEPS,
            internal_batch_size=max(1, POSITIONS // len(history)),
        )
    by_source = {name: part.detach().sum(dim=-1)[0] for name, part in zip(names, found, strict=True)}
    return torch.stack(list(by_source.values())).sum(dim=0), {n: float(part.sum()) for n, part in by_source.items()}


METHODS: dict[str, Callable[[Scorer, History, int], tuple[Tensor, dict[str, float]]]] = {
    "removal": removal,
    "gradients": gradients,
    "attention": attention,
}


def score_of(scorer: Scorer, history: History, item: int) -> float:
    """Compute the score of an item, as in :meth:`Recommender.recommend`."""
    interest, recent = scorer.interest([history]), scorer.recent([history])
    return float(scorer.scores_of(interest, [history.item_seq], recent)[0, item])


def scores_without(scorer: Scorer, history: History, item: int, keep: NDArray[np.bool_]) -> Tensor:
    """Compute the score of an item for subsets of the events, with time gaps between the kept events.

    Args:
        scorer: the model.
        history: a history of L events.
        item: internal id.
        keep: which events to keep, at least one per row, bool [B, L].

    Returns:
        Scores, [B].
    """
    kept = [history.keep(row.nonzero()[0]) for row in keep]
    scores = _score(scorer, scorer.interest(kept), item)
    bias, memory = scorer.network.repeat_logit(), scorer.network.memory
    if memory is not None:
        scores = scores + memory.of_items(scorer.recent(kept), torch.full((len(kept),), item))
    return scores if bias is None else scores + bias * torch.tensor([item in part.item_seq for part in kept])


def _sources_by_removal(scorer: Scorer, history: History, item: int) -> dict[str, float]:
    """Compute how much the score falls if a source's part is zero in all events."""
    parts = event_parts(scorer, history)
    without = [{**parts, name: torch.zeros_like(part)} for name, part in parts.items()]
    whole, *left = (float(_score_of_parts(scorer, history, given, item)) for given in (parts, *without))
    return {name: whole - score for name, score in zip(parts, left, strict=True)}


def event_parts(scorer: Scorer, history: History) -> dict[str, Tensor]:
    """Compute the parts of the events by source, [1, L, D] each."""
    network = scorer.network
    item_seq, levels = scorer.window(history)
    parts = {name: table[item_seq].unsqueeze(0) for name, table in network.item_parts().items()}
    sides = network.fusion.embed(levels)
    return {**parts, **{name: part.unsqueeze(0) for name, part in sides.items()}}


def _score_of_parts(scorer: Scorer, history: History, parts: dict[str, Tensor], item: int) -> Tensor:
    """Compute the score of an item from the parts of the events, without ``repeat_bias``, [B]."""
    interest = scorer.network.interest_encoder(fuse_parts(scorer, parts))[:, -1]
    return _score(scorer, scorer.at_request(interest, [history.time[-1]], [history.at]), item)


@torch.no_grad()
def request_part(scorer: Scorer, history: History, item: int) -> float:
    """Compute how much the request time adds to the score of an item, for a model that reads it."""
    interest = scorer.network.interest_encoder(fuse_parts(scorer, event_parts(scorer, history)))[:, -1]
    asked = scorer.at_request(interest, [history.time[-1]], [history.at])
    return float(_score(scorer, asked, item) - _score(scorer, interest, item))


def fuse_parts(scorer: Scorer, parts: dict[str, Tensor]) -> Tensor:
    """Fuse the parts of :func:`event_parts`, [1, L, D]."""
    sides = {name: parts[name] for name in scorer.sides}
    items = [part for name, part in parts.items() if name not in sides]
    return scorer.network.fusion.fuse(torch.stack(items).sum(dim=0), sides)


def _score(scorer: Scorer, interest: Tensor, item: int) -> Tensor:
    interest, items = scorer.network.comparable(interest, scorer.items[item : item + 1])
    return (interest * items).sum(dim=-1) + lift_part(scorer, item)


def lift_part(scorer: Scorer, item: int) -> float:
    """What the lift adds to the score of an item: 0, unless it is new."""
    return scorer.lift if item in scorer.lifted else 0.0
