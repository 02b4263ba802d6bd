"""A user's interest as events come: constant time and memory an event, equal to the batch over the same events.

What a user's past is to the network is the recurrent state and, for each attention head, a running maximum, a
denominator and a numerator (see :class:`~recbole_longinterest.nn.attention.RunningAttention`).
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.layers import EncoderState
from recbole_longinterest.serving.events import Event, History, as_event, number_of
from recbole_longinterest.serving.results import ALL_SEEN, NONE_KNOWN, Recommendation, check_k
from recbole_longinterest.serving.state_codec import HEADER, pack, unpack

if TYPE_CHECKING:
    from recbole_longinterest.serving.recommender import Recommender

SPARE = 32  # seen items among the best that are passed over before all seen ones are masked


class InterestState:
    """One user, after some events.

    Example:
        >>> state = recommender.start()
        >>> state.update(Event("50", rating=5, time=880_000_000))
        >>> state.recommend(k=10)
        >>> kept = state.to_bytes()

    Attributes:
        events: events taken in.
        last_time: time of the last event, NaN if it had none.
        seen: internal ids of the items of the events.
    """

    __slots__ = ("_encoder", "_interest", "events", "last_time", "recommender", "seen")

    def __init__(
        self,
        recommender: "Recommender",
        encoder: EncoderState,
        interest: Tensor,
        last_time: float = math.nan,
        events: int = 0,
        seen: set[int] | None = None,
    ) -> None:
        self.recommender = recommender
        self._encoder: Any = encoder  # of a batch of one, as the engine has it
        self._interest: Any = interest
        self.last_time = last_time
        self.events = events
        self.seen = seen if seen is not None else set()

    @classmethod
    def new(cls, recommender: "Recommender") -> "InterestState":
        """A user without events.

        Raises:
            ValueError: for a model that reads a window: what leaves it cannot be taken out of a state.
        """
        limit = recommender.served.history_limit
        if limit is not None:
            raise LongInterestError(
                f"This model reads the last {limit} events (eval_history_length), which a state cannot. "
                "Use recommend, or export a model trained without eval_history_length."
            )
        interest = torch.zeros(1, recommender.items.shape[1])
        return cls(recommender, recommender.network.interest_encoder.start(1), interest)

    @property
    def interest(self) -> Tensor:
        """The interest vector, [1, D]; zeros before the first event."""
        return torch.as_tensor(self._interest)

    @property
    def encoder(self) -> EncoderState:
        """What the network keeps of the events."""
        return EncoderState(*map(torch.as_tensor, self._encoder))

    def update(self, event: Any) -> bool:  # noqa: ANN401
        """Take one event in.

        Args:
            event: an :class:`~recbole_longinterest.serving.events.Event`, a dict of its fields, or an item token.

        Returns:
            Whether it was taken; an unknown item is skipped.

        Raises:
            ValueError: for what is no event, or one before the last, if that had a time; the state stays as it was.
        """
        accepted = self.accept(event)
        if accepted is None:
            return False
        parsed, item, time = accepted
        values = _values([self], [parsed], [time])
        interest, encoder = self.recommender.raw_step(np.array([item]), values, self._encoder)
        self.follow(item, time, interest, encoder)
        return True

    def accept(self, event: Any) -> tuple[Event, int, float] | None:  # noqa: ANN401
        """The event, its item's internal id and its time (NaN for none); None for an unknown item.

        Raises:
            ValueError: as :meth:`update`.
        """
        parsed = as_event(event)
        item = self.recommender.item_id(parsed.item)
        if not item:
            return None
        time = number_of(parsed.time, "time")
        if time < self.last_time:
            raise LongInterestError(
                f"Events must come in the order of their times: {parsed} is earlier than the user's last event "
                f"at {self.last_time:.0f}. Make the state again from all events, in order."
            )
        return parsed, item, time

    def follow(self, item: int, time: float, interest: Any, encoder: Any) -> None:  # noqa: ANN401
        """Be what the network's step made of an event."""
        self._interest, self._encoder = interest, encoder
        self.last_time = time
        self.events += 1
        self.seen.add(item)

    def recommend(self, k: int = 10, exclude_seen: bool = True) -> Recommendation:
        """The ``k`` best items now.

        Raises:
            ValueError: if there was no event yet, or ``k`` is below 1.
        """
        (found,) = recommend_states([self], k, exclude_seen)
        if found.problem:
            raise LongInterestError(f"There is nothing to recommend from: {found.problem}.")
        return found

    # --- size and bytes ----------------------------------------------------------------------------------------------

    @property
    def nbytes(self) -> int:
        """Bytes of :meth:`to_bytes` without the seen items, whatever the number of events."""
        return HEADER.size + sum(part.numel() * part.element_size() for part in (*self.encoder, self.interest))

    @property
    def seen_nbytes(self) -> int:
        """Bytes that the seen items add, 4 each; the set in memory takes about 60 each."""
        return 4 * len(self.seen)

    def to_bytes(self, seen: bool = True) -> bytes:
        """The state as versioned bytes, no pickle, little-endian.

        Args:
            seen: with the seen items; without them, they are recommended as items that the user has not had.
        """
        return pack(self, seen)

    @classmethod
    def from_bytes(cls, recommender: "Recommender", data: bytes) -> "InterestState":
        """The state of :meth:`to_bytes`.

        Raises:
            ValueError: for bytes that are none, of another version, of another model, cut short or changed.
        """
        encoder, interest, last_time, events, seen = unpack(cls.new(recommender), data)
        return cls(recommender, encoder, interest, last_time, events, seen)


def update_states(states: Sequence[InterestState], events: Sequence[Any]) -> list[bool]:
    """Take one event in for each of many users, in one step of the network.

    Args:
        states: of one model, each of them once.
        events: one for each.

    Returns:
        For each whether it was taken; an unknown item is skipped.

    Raises:
        ValueError: as :meth:`InterestState.update`, or if there is not one event a state; no state is changed.
    """
    if len(states) != len(events):
        raise LongInterestError(f"Every state needs one event; got {len(states)} states and {len(events)} events.")
    if not states:
        return []
    recommender = states[0].recommender
    if any(state.recommender is not recommender for state in states) or len(set(map(id, states))) < len(states):
        raise LongInterestError("States that are updated together must be of one Recommender, each of them once.")
    accepted = [state.accept(event) for state, event in zip(states, events, strict=True)]
    chosen = [state for state, found in zip(states, accepted, strict=True) if found is not None]
    if chosen:
        parsed, ids, times = zip(*(found for found in accepted if found is not None), strict=True)
        carried = EncoderState(*(torch.cat(parts) for parts in zip(*(state.encoder for state in chosen), strict=True)))
        interest, encoder = recommender.step(np.array(ids), _values(chosen, parsed, times), carried)
        # Copies: a view would keep the state of the whole batch for as long as one of its users has no other event.
        apart = ([row.clone() for row in part.split(1)] for part in (interest, *encoder))
        for state, item, time, vector, recurrent, sums in zip(chosen, ids, times, *apart, strict=True):
            state.follow(item, time, vector, EncoderState(recurrent, sums))
    return [found is not None for found in accepted]


def _values(
    states: Sequence[InterestState], events: Sequence[Event], times: Sequence[float]
) -> dict[str, NDArray[Any]]:
    """Side values of one event a user, [B] each."""
    recommender, values = states[0].recommender, {}
    for name in recommender.sides:
        if name == "rating":
            raw = np.array([number_of(event.rating, "rating") for event in events])
            values[name] = recommender.reader.ratings(raw)
        elif name == "behavior":
            values[name] = np.array([recommender.reader.behavior(event.behavior) for event in events])
        else:  # NaN before the first
            gaps = [time - state.last_time for time, state in zip(times, states, strict=True)]
            values[name] = np.array(gaps, dtype=np.float32)
    return values


def states_of(recommender: "Recommender", histories: Sequence[History]) -> list[InterestState]:
    """States of many users after all events of their histories, taken in side by side.

    Args:
        recommender: the model.
        histories: from :meth:`Recommender.read` or :meth:`Recommender.read_table`; one may be empty.
    """
    states = [InterestState.new(recommender) for _ in histories]
    order = sorted((i for i, history in enumerate(histories) if len(history)), key=lambda i: -len(histories[i]))
    if not order:
        return states
    encoder = EncoderState(*(torch.cat(parts) for parts in zip(*(states[i].encoder for i in order), strict=True)))
    interest = torch.cat([states[i].interest for i in order])
    values: list[dict[str, Any]] = [
        dict(rating=h.rating, behavior=h.behavior, time=h.gaps()) for h in (histories[i] for i in order)
    ]
    active = len(order)
    for step in range(len(histories[order[0]])):
        while len(histories[order[active - 1]]) <= step:
            active -= 1
        items = np.array([histories[i].item_seq[step] for i in order[:active]])
        sides = {name: np.array([value[name][step] for value in values[:active]]) for name in recommender.sides}
        now, after = recommender.step(items, sides, EncoderState(*(part[:active] for part in encoder)))
        interest = torch.cat([now, interest[active:]])
        encoder = EncoderState(*(torch.cat([new, old[active:]]) for new, old in zip(after, encoder, strict=True)))
    for place, i in enumerate(order):
        row, state = slice(place, place + 1), states[i]
        state._encoder = EncoderState(*(part[row].clone() for part in encoder))
        state._interest = interest[row].clone()
        state.events, state.last_time = len(histories[i]), float(histories[i].time[-1])
        state.seen = set(histories[i].item_seq.tolist())
    return states


def recommend_states(states: Sequence[InterestState], k: int = 10, exclude_seen: bool = True) -> list[Recommendation]:
    """Recommend to many users at once; one without an event gets nothing, and a ``problem``.

    Args:
        states: of one model.
        k: number of items.
        exclude_seen: leave out the items of a user's events.

    Raises:
        ValueError: if ``k`` is below 1.
    """
    check_k(k)
    out = [Recommendation([], 0, [], f"there was no event, or {NONE_KNOWN}") for _ in states]
    rows = [row for row, state in enumerate(states) if state.events]
    if not rows:
        return out
    recommender = states[0].recommender
    step = recommender.scored_at_once
    for part in (rows[begin : begin + step] for begin in range(0, len(rows), step)):
        interest = torch.cat([states[row].interest for row in part]) if len(part) > 1 else states[part[0]].interest
        if exclude_seen:
            found = recommender.best(interest, k + SPARE, ())
        else:
            found = recommender.best(interest, k, [states[row].seen for row in part], exclude_seen=False)
        for row, items in zip(part, found, strict=True):
            state = states[row]
            if exclude_seen:
                items = [pair for pair in items if pair[0] not in state.seen]
                if len(items) < k:  # more than SPARE of the best are seen ones
                    (items,) = recommender.best(state.interest, k, [state.seen])
            chosen = [recommender.recommended(*item) for item in items[:k]]
            out[row] = Recommendation(chosen, state.events, problem=None if chosen else ALL_SEEN)
    return out
