"""Many events of one user into a state, in a few calls of the network in place of one for each event."""

from collections.abc import Iterable
from dataclasses import replace

import torch

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.events import EventLike, History
from recbole_longinterest.serving.scorer import CHUNK, Scorer
from recbole_longinterest.serving.state import InterestState


def state_after(scorer: Scorer, history: History) -> InterestState:
    """The state that :func:`~recbole_longinterest.serving.state.states_of` gives, faster for one user.

    Args:
        scorer: the model.
        history: may be empty.

    Raises:
        LongInterestError: for a model that reads a window, which has no states.
    """
    state = InterestState.new(scorer, history.user)
    _take_in(state, history)
    return state


def take_in(state: InterestState, events: Iterable[EventLike]) -> int:
    """Take in events as :meth:`InterestState.update` does one by one.

    Args:
        state: changes.
        events: in any order, if all have times.

    Returns:
        How many were skipped, because the model does not know their items.

    Raises:
        LongInterestError: as ``update``; the state does not change.
    """
    history = state.scorer.reader.read(events, state.user)
    if len(history) and history.time[0] < state.last_time:
        raise LongInterestError(
            f"Events must come in the order of their times: one at {history.time[0]:.0f} is earlier than the user's "
            f"last event at {state.last_time:.0f}. Make the state again from all events, in order."
        )
    _take_in(state, replace(history, before=state.last_time))
    return len(history.unknown)


@torch.no_grad()
def _take_in(state: InterestState, history: History) -> None:
    if not len(history):
        return
    network, vectors = state.scorer.network, state.scorer.items
    items, levels = torch.from_numpy(history.item_seq), network.levels_of(history.values())
    interest, encoder = torch.empty(0), state.encoder
    for begin in range(0, len(items), CHUNK):
        part = slice(begin, begin + CHUNK)
        chosen = {name: value[None, part] for name, value in levels.items()}
        interest, encoder = network.extend(items[None, part], chosen, vectors, encoder)
    behaviors = [None] * len(history) if history.behavior is None else history.behavior.tolist()
    for item, time, behavior in zip(history.item_seq.tolist(), history.time.tolist(), behaviors, strict=True):
        state.follow(item, time, interest, encoder, behavior)  # what came of the last event, after each of them
