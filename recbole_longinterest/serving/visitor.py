"""The one who is recommended to: what strategies and rules may know of a user at the moment of a request."""

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

SEGMENTS = ((0, "none"), (1, "one"), (9, "few"), (49, "some"))  # events up to which a segment reaches
LONGEST = "many"


@dataclass(frozen=True)
class Visitor:
    """A user at one moment.

    Attributes:
        given: known events, oldest first; all of them, or only the last ones where a state keeps the rest; or a
            function that gets them when a strategy or a rule first needs more than the state has.
        interest: the interest vector after all events, at ``now`` if the model reads it, [1, D]; None before the first
            event.
        seen: internal ids of the items of all events.
        seen_by: the same by behaviour, see :class:`InterestState`; empty where ``given`` holds all events.
        recent: internal ids of the items of the last events, the latest first, as a memory of transitions reads them.
        events: number of all events.
        now: time of the request in the training's unit; NaN if the training's times are no dates and none is given.
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
        """The visitor of a whole history.

        Args:
            scorer: the model.
            history: from :meth:`EventReader.read`; it may be empty.
            now: time of the request in the training's unit; the clock's if None.
        """
        history = replace(history, at=clock(scorer) if now is None else now)
        return cls.with_interest(history, scorer.interest([history]) if len(history) else None, history.at)

    @classmethod
    def with_interest(cls, history: History, interest: Tensor | None, now: float) -> "Visitor":
        """The visitor of a whole history whose interest vector is known."""
        items = history.item_seq
        return cls(history, interest, frozenset(items.tolist()), len(history), now, recent=items[: -EVENTS - 1 : -1])

    @classmethod
    def of_state(
        cls, state: InterestState, history: History | Callable[[], History], now: float | None = None
    ) -> "Visitor":
        """The visitor of a state.

        Args:
            state: after all events.
            history: the last events, as many as strategies and rules by age are to know; or a function that gets them.
            now: time of the request in the training's unit; the clock's if None.
        """
        now = clock(state.scorer) if now is None else now
        interest = state.scorer.at_request(state.interest, [state.last_time], [now]) if state.events else None
        recent = np.array(state.recent, dtype=np.int64)
        seen_by = {name: set(items) for name, items in state.seen_by.items()}  # the state goes on
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
        """Items of the last events, newest first."""
        if callable(self.given) and len(self.recent) >= min(number, self.events):
            return self.recent[:number]  # without getting the history
        return self.history.item_seq[: -number - 1 : -1]

    def hidden_by(self, exclusion: Exclusion) -> NDArray[np.int64]:
        """Internal ids that an exclusion by behaviours leaves out."""
        if exclusion.all_seen:
            seen = np.fromiter(self.seen, np.int64, len(self.seen))
            return np.concatenate([seen, exclusion.items])
        if self.seen_by:
            left_out = exclusion.of_seen(set(self.seen), self.seen_by)
            return np.fromiter(left_out, np.int64, len(left_out))
        return exclusion.of_history(self.history)


def segment_of(events: int) -> str:
    """The segment of users with this number of events; see :attr:`Visitor.segment`."""
    return next((name for most, name in SEGMENTS if events <= most), LONGEST)


def segment_names() -> list[str]:
    """All segments, fewest events first."""
    return [*(name for _, name in SEGMENTS), LONGEST]
