"""Build a user state from many events, with few network calls instead of one per event."""

from collections.abc import Iterable
from dataclasses import replace

import torch

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.events import EventLike, History
from recbole_longinterest.serving.scorer import CHUNK, Scorer
from recbole_longinterest.serving.state import InterestState


def state_after(scorer: Scorer, history: History) -> InterestState:
    """Build the same state as :func:`~recbole_longinterest.serving.state.states_of`, faster for one user.

    Args:
        scorer: the model.
        history: the history; may be empty.

    Raises:
        LongInterestError: for a model with a history limit, which has no states.
    """
    state = InterestState.new(scorer, history.user)
    _take_in(state, history)
    return state


def take_in(state: InterestState, events: Iterable[EventLike]) -> int:
    """Update a state with events, like :meth:`InterestState.update` for each event.

    Args:
        state: the state to update.
        events: new events, in any order if all have times.

    Returns:
        Number of skipped events on unknown items.

    Raises:
        LongInterestError: as ``update``; the state does not change then.
    """
    history = state.scorer.reader.read(events, state.user)
    if len(history) and history.time[0] < state.last_time:
        raise LongInterestError(
            f"Events must be in time order: one at {history.time[0]:.0f} is earlier than the user's last event at "
            f"{state.last_time:.0f}. Rebuild the state from all events, in order."
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
        state.follow(item, time, interest, encoder, behavior)  # the final interest, for each event
