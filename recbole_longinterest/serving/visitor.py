"""The visitor of a request: what strategies and rules know about a user at that moment."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.nn.memory import EVENTS
from recbole_longinterest.serving.events import History
from recbole_longinterest.serving.exclusion import Exclusion
from recbole_longinterest.serving.request_times import clock
from recbole_longinterest.serving.scorer import Scorer
from recbole_longinterest.serving.state import InterestState

SEGMENTS = ((0, "none"), (1, "one"), (9, "few"), (49, "some"))  # (maximum number of events, segment)
LONGEST = "many"


@dataclass(frozen=True)
class Visitor:
    """A user at one moment.

    Attributes:
        given: known events, oldest first: all events, or only the last ones if a state has the rest; or a function that
            loads them when a strategy or a rule needs more than the state.
        interest: the interest vector after all events, at ``now`` if the model reads it, [1, D]; None before the first
            event.
        seen: internal ids of the items of all events.
        seen_by: internal ids by behaviour, see :class:`InterestState`; empty if ``given`` has all events.
        recent: internal ids of the items of the last events, latest first, for a memory of transitions.
        events: number of all events.
        now: time of the request in the training's unit; NaN if it is not given and the training's times are not dates.
    """

    given: History | Callable[[], History]
    interest: Tensor | None
    seen: frozenset[int]
    events: int
    now: float = math.nan
    seen_by: Mapping[str, set[int]] = field(default_factory=dict)
    recent: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @classmethod
    def of_history(cls, scorer: Scorer, history: History, now: float | None = None) -> "Visitor":
        """Create a visitor from a complete history.

        Args:
            scorer: the model.
            history: from :meth:`EventReader.read`; it may be empty.
            now: time of the request in the training's unit; None for the current time.
        """
        history = replace(history, at=clock(scorer) if now is None else now)
        return cls.with_interest(history, scorer.interest([history]) if len(history) else None, history.at)

    @classmethod
    def with_interest(cls, history: History, interest: Tensor | None, now: float) -> "Visitor":
        """Create a visitor from a complete history with a known interest vector."""
        items = history.item_seq
        return cls(history, interest, frozenset(items.tolist()), len(history), now, recent=items[: -EVENTS - 1 : -1])

    @classmethod
    def of_state(
        cls, state: InterestState, history: History | Callable[[], History], now: float | None = None
    ) -> "Visitor":
        """Create a visitor from a state.

        Args:
            state: the state after all events.
            history: the last events, as many as strategies and age rules should see; or a function that loads them.
            now: time of the request in the training's unit; None for the current time.
        """
        now = clock(state.scorer) if now is None else now
        interest = state.scorer.at_request(state.interest, [state.last_time], [now]) if state.events else None
        recent = np.array(state.recent, dtype=np.int64)
        seen_by = {
            name: set(items) for name, items in state.seen_by.items()
        }  # copied, because the state keeps changing
        return cls(history, interest, frozenset(state.seen), state.events, now, seen_by, recent)

    @cached_property
    def history(self) -> History:
        """Known events, oldest first."""
        return self.given() if callable(self.given) else self.given

    @property
    def segment(self) -> str:
        """``none``, ``one``, ``few`` (2 to 9), ``some`` (10 to 49) or ``many``, by the number of events."""
        return segment_of(self.events)

    def last_items(self, number: int) -> NDArray[np.int64]:
        """Return the items of the last events, newest first."""
        if callable(self.given) and len(self.recent) >= min(number, self.events):
            return self.recent[:number]  # without loading the history
        return self.history.item_seq[: -number - 1 : -1]

    def hidden_by(self, exclusion: Exclusion) -> NDArray[np.int64]:
        """Return the internal ids to exclude."""
        if exclusion.all_seen:
            seen = np.fromiter(self.seen, np.int64, len(self.seen))
            return np.concatenate([seen, exclusion.items])
        if self.seen_by:
            left_out = exclusion.of_seen(set(self.seen), self.seen_by)
            return np.fromiter(left_out, np.int64, len(left_out))
        return exclusion.of_history(self.history)


def segment_of(events: int) -> str:
    """Return the segment for a number of events; see :attr:`Visitor.segment`."""
    return next((name for most, name in SEGMENTS if events <= most), LONGEST)


def segment_names() -> list[str]:
    """Return all segments, fewest events first."""
    return [*(name for _, name in SEGMENTS), LONGEST]
