"""Streaming user states: constant time and memory per event, with the same result as a batch over all events.

A state has the recurrent state of the network and, for each attention head, a running maximum, a denominator and a
numerator (see :class:`~recbole_longinterest.nn.attention.RunningAttention`).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.layers import EncoderState
from recbole_longinterest.nn.memory import EVENTS
from recbole_longinterest.serving.engines import Array
from recbole_longinterest.serving.events import Event, EventLike, History
from recbole_longinterest.serving.exclusion import UNSAID, ExcludeSeen, read_exclusion
from recbole_longinterest.serving.ranking import nothing, popular
from recbole_longinterest.serving.request_times import At, time_of
from recbole_longinterest.serving.results import NONE_KNOWN, Recommendation, check_k
from recbole_longinterest.serving.scorer import Scorer, stacked
from recbole_longinterest.serving.state_codec import HEADER, StateContent, pack, unpack

SPARE = 32  # extra items to rank, so that a few seen ones can be skipped without masking all seen items


class InterestState:
    """State of one user after some events; created by :meth:`Recommender.start`.

    Example:
        >>> state = model.start()
        >>> state.update(Event("50", rating=5, time=880_000_000))
        >>> state.recommend(k=10)
        >>> kept = state.to_bytes()

    Attributes:
        scorer: the model.
        events: number of events in the state.
        last_time: time of the last event, NaN if missing.
        seen: internal ids of the items of the events.
        seen_by: internal ids by behaviour of the events, ``""`` for no behaviour; empty for a model without
            ``target_behavior``.
        user: values of ``user_features`` by column name; None without any.
        recent: internal ids of the items of the last events, latest first.
    """

    __slots__ = ("_encoder", "_interest", "events", "last_time", "recent", "scorer", "seen", "seen_by", "user")

    def __init__(
        self,
        scorer: Scorer,
        encoder: Sequence[Array],
        interest: Array,
        last_time: float = math.nan,
        events: int = 0,
        seen: set[int] | None = None,
        user: Mapping[str, Any] | None = None,
        seen_by: dict[str, set[int]] | None = None,
        recent: Sequence[int] = (),
    ) -> None:
        self.scorer = scorer
        self._encoder = encoder  # batch size 1, in the engine's array type
        self._interest = interest
        self.last_time = last_time
        self.events = events
        self.seen = seen if seen is not None else set()
        self.seen_by = seen_by if seen_by is not None else {}
        self.user = user
        self.recent = list(recent)

    @classmethod
    def new(cls, scorer: Scorer, user: Mapping[str, Any] | None = None) -> "InterestState":
        """Create the state of a user without events.

        Args:
            scorer: the model.
            user: values of ``user_features`` by column name.

        Raises:
            LongInterestError: for a model with a history limit, because events cannot be removed from a state.
        """
        limit = scorer.served.history_limit
        if limit is not None:
            raise LongInterestError(
                f"This model reads only the last {limit} events (eval_history_length), so it has no states. "
                "Use recommend, or export a model trained without eval_history_length."
            )
        interest = torch.zeros(1, scorer.items.shape[1])
        if user is not None:
            for name, value in scorer.reader.of_user(user).items():
                scorer.reader.sources[name].read(value)  # report invalid values here, not at the first event
        return cls(scorer, scorer.network.interest_encoder.start(1), interest, user=user)

    @property
    def interest(self) -> Tensor:
        """The interest vector, [1, D]; zeros before the first event."""
        return torch.as_tensor(self._interest)

    @property
    def encoder(self) -> EncoderState:
        """The network's encoder state after the events."""
        return EncoderState(*map(torch.as_tensor, self._encoder))

    def update(self, event: EventLike) -> bool:
        """Update the state with one event.

        Args:
            event: an :class:`~recbole_longinterest.serving.events.Event`, a dict of its fields, or an item token.

        Returns:
            Whether the state was updated; events on unknown items are skipped.

        Raises:
            LongInterestError: for an invalid event, or an event earlier than the last one; the state does not change
                then.
        """
        accepted = self.accept(event)
        if accepted is None:
            return False
        parsed, item, time = accepted
        values = _values([self], [parsed], [time])
        interest, encoder = self.scorer.engine.step(np.array([item]), values, self._encoder)
        self.follow(item, time, interest, encoder, parsed.behavior)
        return True

    def accept(self, event: EventLike) -> tuple[Event, int, float] | None:
        """Check an event.

        Returns:
            The event, its item's internal id, and its time (NaN if missing); None for an unknown item.

        Raises:
            LongInterestError: as :meth:`update`.
        """
        parsed = self.scorer.reader.event(event, self.user)
        item = self.scorer.item_id(parsed.item)
        if not item:
            return None
        time = self.scorer.reader.times.one(parsed.time)
        if time < self.last_time:
            raise LongInterestError(
                f"Events must be in time order: {parsed} is earlier than the user's last event at "
                f"{self.last_time:.0f}. Rebuild the state from all events, in order."
            )
        return parsed, item, time

    def follow(
        self, item: int, time: float, interest: Array, encoder: Sequence[Array], behavior: str | None = None
    ) -> None:
        """Store the result of the engine's step for an event."""
        self._interest, self._encoder = interest, encoder
        self.last_time = time
        self.events += 1
        self.seen.add(item)
        self.recent = [item, *self.recent[: EVENTS - 1]]
        if self.scorer.keeps_behaviors:
            behaviors = self.scorer.reader.behaviors
            self.seen_by.setdefault(behaviors.name_of(behavior) or UNSAID, set()).add(item)

    def recommend(
        self, k: int = 10, exclude_seen: ExcludeSeen = True, exclude: Iterable[str | int] = (), at: At = None
    ) -> Recommendation:
        """Return the ``k`` best items now; popular items before the first event.

        Args:
            k: number of items.
            exclude_seen: see :meth:`Recommender.recommend`; behaviours only for a model with ``target_behavior``.
            exclude: tokens of items that must not be recommended.
            at: time of the request, see :meth:`Recommender.recommend`; None for now.

        Raises:
            LongInterestError: if there was no event yet and the export has no counts of recent events, if no item is
                left to recommend, or if ``k`` is below 1.
        """
        (found,) = recommend_states([self], k, exclude_seen, exclude, at)
        if found.problem:
            raise LongInterestError(f"Nothing can be recommended: {found.problem}.")
        return found

    # --- size and bytes ----------------------------------------------------------------------------------------------

    @property
    def nbytes(self) -> int:
        """Length of :meth:`to_bytes` without the seen items; independent of the number of events."""
        last = 0 if self.scorer.network.memory is None else 4 * EVENTS
        return HEADER.size + last + sum(part.numel() * part.element_size() for part in (*self.encoder, self.interest))

    @property
    def seen_nbytes(self) -> int:
        """Bytes of the seen items in :meth:`to_bytes`, 4 each; in memory they take about 60 each."""
        return 4 * len(self.seen)

    def to_bytes(self, seen: bool = True) -> bytes:
        """Serialise the state as versioned, little-endian bytes, without pickle.

        Args:
            seen: include the seen items. Without them, the restored state may recommend them again.
        """
        content = StateContent(
            (*self.encoder, self.interest),
            self.last_time,
            self.events,
            self.seen if seen else set(),
            self.user,
            self.seen_by if seen else {},
            None if self.scorer.network.memory is None else self.recent,
        )
        return pack(content, self.scorer.fingerprint)

    @classmethod
    def from_bytes(cls, scorer: Scorer, data: bytes) -> "InterestState":
        """Restore a state from :meth:`to_bytes`.

        Raises:
            LongInterestError: for invalid, truncated or changed bytes, or bytes of another version or model.
        """
        new = cls.new(scorer)
        content = unpack(data, (*new.encoder, new.interest), scorer.fingerprint, scorer.n_items)
        *encoder, interest = content.parts
        return cls(
            scorer,
            encoder,
            interest,
            content.last_time,
            content.events,
            content.seen,
            content.user,
            content.seen_by,
            content.recent or (),
        )


def update_states(states: Sequence[InterestState], events: Sequence[EventLike]) -> list[bool]:
    """Update many states by one event each, in one engine step.

    Args:
        states: distinct states of one model.
        events: one event for each state.

    Returns:
        For each state whether it was updated; events on unknown items are skipped.

    Raises:
        LongInterestError: as :meth:`InterestState.update`, or if the numbers of states and events differ; no state
            changes then.
    """
    if len(states) != len(events):
        raise LongInterestError(f"Every state needs one event; got {len(states)} states and {len(events)} events.")
    if not states:
        return []
    scorer = states[0].scorer
    if any(state.scorer is not scorer for state in states) or len(set(map(id, states))) < len(states):
        raise LongInterestError("States that are updated together must be distinct and of the same Recommender.")
    accepted = [state.accept(event) for state, event in zip(states, events, strict=True)]
    chosen = [state for state, found in zip(states, accepted, strict=True) if found is not None]
    if chosen:
        parsed, ids, times = zip(*(found for found in accepted if found is not None), strict=True)
        carried = EncoderState(*(torch.cat(parts) for parts in zip(*(state.encoder for state in chosen), strict=True)))
        interest, encoder = scorer.step(np.array(ids), _values(chosen, parsed, times), carried)
        # Copies: a view would keep the tensors of the whole batch in memory.
        apart = ([row.clone() for row in part.split(1)] for part in (interest, *encoder))
        for state, event, item, time, vector, recurrent, sums in zip(chosen, parsed, ids, times, *apart, strict=True):
            state.follow(item, time, vector, EncoderState(recurrent, sums), event.behavior)
    return [found is not None for found in accepted]


def _values(
    states: Sequence[InterestState], events: Sequence[Event], times: Sequence[float]
) -> dict[str, NDArray[Any]]:
    """Return the side values of one event per user, [B] each."""
    scorer, values = states[0].scorer, {}
    for name, source in scorer.reader.sources.items():
        values[name] = source.read_all([event.value(name) for event in events])
    if "time" in scorer.sides:  # NaN for the first event
        gaps = [time - state.last_time for time, state in zip(times, states, strict=True)]
        values["time"] = np.array(gaps, dtype=np.float32)
    return values


def recent_of(states: Sequence[InterestState]) -> Tensor:
    """Return the items of the last events of states, int64 [B, ``EVENTS``]; see :meth:`Scorer.recent`."""
    rows = np.zeros((len(states), EVENTS), dtype=np.int64)  # faster than a tensor of lists
    for row, state in zip(rows, states, strict=True):
        row[: len(state.recent)] = state.recent
    return torch.from_numpy(rows)


def states_of(scorer: Scorer, histories: Sequence[History]) -> list[InterestState]:
    """Build the states of many users from their histories, in parallel.

    Args:
        scorer: the model.
        histories: from :meth:`Recommender.read` or :meth:`Recommender.read_table`; histories may be empty.
    """
    states = [InterestState.new(scorer, history.user) for history in histories]
    order = sorted((i for i, history in enumerate(histories) if len(history)), key=lambda i: -len(histories[i]))
    if not order:
        return states
    encoder = EncoderState(*(torch.cat(parts) for parts in zip(*(states[i].encoder for i in order), strict=True)))
    interest = torch.cat([states[i].interest for i in order])
    values = [histories[i].arrays() for i in order]
    active = len(order)
    for step in range(len(histories[order[0]])):
        while len(histories[order[active - 1]]) <= step:
            active -= 1
        items = np.array([histories[i].item_seq[step] for i in order[:active]])
        sides = {name: stacked([value[name][step] for value in values[:active]]) for name in scorer.sides}
        now, after = scorer.step(items, sides, EncoderState(*(part[:active] for part in encoder)))
        interest = torch.cat([now, interest[active:]])
        encoder = EncoderState(*(torch.cat([new, old[active:]]) for new, old in zip(after, encoder, strict=True)))
    targets = scorer.reader.behaviors.targets
    for place, i in enumerate(order):
        row, state = slice(place, place + 1), states[i]
        state._encoder = EncoderState(*(part[row].clone() for part in encoder))
        state._interest = interest[row].clone()
        state.events, state.last_time = len(histories[i]), float(histories[i].time[-1])
        state.seen = set(histories[i].item_seq.tolist())
        state.recent = histories[i].item_seq[-EVENTS:][::-1].tolist()
        if not targets:
            continue
        behavior = histories[i].behavior
        kinds = [None] * len(histories[i]) if behavior is None else list(behavior)
        for item, name in zip(histories[i].item_seq.tolist(), kinds, strict=True):
            state.seen_by.setdefault(name or UNSAID, set()).add(item)
    return states


def recommend_states(
    states: Sequence[InterestState],
    k: int = 10,
    exclude_seen: ExcludeSeen = True,
    exclude: Iterable[str | int] = (),
    at: At = None,
) -> list[Recommendation]:
    """Recommend items for many states at once; popular items for users without events.

    Args:
        states: states of one model.
        k: number of items.
        exclude_seen: see :meth:`InterestState.recommend`.
        exclude: see :meth:`InterestState.recommend`.
        at: see :meth:`InterestState.recommend`.

    Raises:
        LongInterestError: if ``k`` is below 1, or for behaviours with a model without ``target_behavior``, whose states
            do not store behaviours.
    """
    check_k(k)
    if not states:
        return []
    scorer = states[0].scorer
    exclusion = read_exclusion(exclude_seen, scorer.reader.behaviors, scorer.excluded_ids(exclude))
    if exclusion.behaviors and not scorer.reader.behaviors.targets:
        raise LongInterestError(
            f"The states of a model without target_behavior do not store behaviours; got "
            f"exclude_seen={exclude_seen!r}. Give True or False, or recommend from the events."
        )
    now = math.nan if scorer.network.request is None else time_of(scorer, at)
    rows = [row for row, state in enumerate(states) if state.events]
    why = f"there was no event, or {NONE_KNOWN}"
    out = [Recommendation([], 0) if state.events else popular(scorer, k, exclusion, why=why) for state in states]
    step = scorer.scored_at_once
    simple = exclusion.all_seen and not len(exclusion.items)
    for part in (rows[begin : begin + step] for begin in range(0, len(rows), step)):
        interest = torch.cat([states[row].interest for row in part]) if len(part) > 1 else states[part[0]].interest
        interest = scorer.at_request(interest, [states[row].last_time for row in part], [now] * len(part))
        recent = recent_of([states[row] for row in part])
        if simple:
            found = scorer.best(interest, k + SPARE, (), recent=recent)
        else:
            seen = () if exclusion.all_seen else [states[row].seen for row in part]
            hidden = [exclusion.of_seen(states[row].seen, states[row].seen_by) for row in part]
            found = scorer.best(interest, k, seen, hidden=hidden, recent=recent)
        for place, (row, items) in enumerate(zip(part, found, strict=True)):
            state = states[row]
            if simple:
                items = [pair for pair in items if pair[0] not in state.seen]
                if len(items) < k:  # more than SPARE of the best items are seen
                    (items,) = scorer.best(interest[[place]], k, [state.seen], recent=recent_of([state]))
            chosen = [scorer.recommended(*item) for item in items[:k]]
            out[row] = Recommendation(chosen, state.events, problem=None if chosen else nothing(exclusion))
    return out
