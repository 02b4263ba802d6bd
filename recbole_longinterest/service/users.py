"""An LRU cache of user states in memory; missing states are rebuilt from the raw events.

A state comes from memory; or from the store, updated by later events; or from all of the user's events. In each case it
equals the batch forward pass over these events, sorted by time (ties by arrival).

If other processes write the store, too, every request asks it for the user's later events. Event ids rise in the order
in which events become visible (:mod:`.store.holding`), and an erasure deletes all events of a user. So all events after
the last event in the state are new, and if that last event is missing, the user was erased.

Everything except :func:`made_state` runs in the event loop, so no locks are needed.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.service.store.records import KeptState, StoredEvent
from recbole_longinterest.service.store.store import Store
from recbole_longinterest.serving.rebuilt import state_after, take_in
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.state import InterestState

MOST_PENDING = 256  # pending events of a user, applied at the next use of the state; with more it leaves memory
WORTH_KEEPING = 16  # minimum number of events since the last save for which saving a state pays off


@dataclass(slots=True)
class Entry:
    """A user's state in memory.

    Attributes:
        state: the state after event :attr:`last_id`.
        last_id: id of the last event applied or skipped, in the order of arrival.
        stored: number of the user's events up to it.
        unknown: number of these on items that the model does not know.
        kept: value of ``stored`` at the last save in the store; 0 for never.
        pending: later events, not yet applied; none has an earlier time than the last event in the state.
    """

    state: InterestState
    last_id: int = 0
    stored: int = 0
    unknown: int = 0
    kept: int = 0
    pending: list[StoredEvent] = field(default_factory=list)

    def take_in(self) -> InterestState:
        """Apply the pending events, and return the state."""
        if len(self.pending) == 1:  # the usual case of a stream
            self.unknown += not self.state.update(self.pending[0].event())
        elif self.pending:
            self.unknown += take_in(self.state, [event.event() for event in self.pending])
        if self.pending:
            self.last_id = self.pending[-1].id
        self.stored += len(self.pending)
        self.pending.clear()
        return self.state

    def to_keep(self, user: str) -> KeptState:
        """Convert to a record for the store."""
        self.kept = self.stored
        content = self.state.to_bytes()
        return KeptState(user, self.state.scorer.fingerprint, self.last_id, self.stored, self.unknown, content)


class Users:
    """States of users in memory.

    Args:
        model: the served model.
        store: the store, with the events.
        executor: thread pool in which states are built.
        capacity: maximum number of states.
        keep: called with states that leave memory, to save them in the store.
        counted: called with the source of each requested state: ``"hit"``, ``"kept"`` or ``"made"``.
    """

    def __init__(
        self,
        model: Recommender,
        store: Store,
        executor: Executor,
        capacity: int,
        keep: Callable[[list[KeptState]], object],
        counted: Callable[[str], None] = lambda where: None,
    ) -> None:
        self.model = model
        self._store, self._executor, self._capacity = store, executor, capacity
        self._keep, self._counted = keep, counted
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._making: dict[str, asyncio.Future[Entry]] = {}
        self._arrived: dict[str, list[StoredEvent]] = {}  # events that arrive while a state is built
        self._erasing: dict[str, asyncio.Future[Any]] = {}
        self._shared = store.shared

    def __len__(self) -> int:
        """Number of states in memory."""
        return len(self._entries)

    async def state(self, user: str) -> InterestState:
        """Return the state of a user after all acknowledged events.

        Raises:
            StoreError: if the store cannot be read.
            LongInterestError: if the model cannot read the events.
        """
        while True:
            while user in self._erasing:  # otherwise a state with erased events could be cached
                await asyncio.wait([self._erasing[user]])
            entry = self._entries.get(user)
            if entry is not None and self._shared and not await self._caught_up(user, entry):
                continue
            if entry is not None:
                self._entries.move_to_end(user)
                self._counted("hit")
                try:
                    return entry.take_in()
                except LongInterestError:
                    del self._entries[user]  # rebuilt below, which raises the error
            making = self._making.get(user)
            if making is None:
                making = self._making[user] = asyncio.ensure_future(self._make(user))
            # Shielded, because other requests may wait for the same state.
            await asyncio.shield(making)

    async def _caught_up(self, user: str, entry: Entry) -> bool:
        """Fetch a state's later events from the store; False if the lookup must be repeated."""
        loop, last = asyncio.get_running_loop(), entry.last_id
        found = await loop.run_in_executor(self._executor, self._store.events_of, user, last - 1)
        if self._entries.get(user) is not entry or user in self._erasing:
            return False
        if last and (not found or found[0].id != last):
            self.forget(user)
            return False
        self._note(user, found)
        return self._entries.get(user) is entry

    async def _make(self, user: str) -> Entry:
        self._arrived[user] = []
        model = self.model
        loop = asyncio.get_running_loop()
        try:
            entry, where = await loop.run_in_executor(self._executor, made_state, model, self._store, user)
            arrived = self._arrived[user] if self._making.get(user) is asyncio.current_task() else None
            if arrived is not None and model is self.model:
                self._entries[user] = entry
                self._counted(where)
                self.committed([(user, event) for event in arrived])
                self._shrink()
            return entry
        finally:
            if self._making.get(user) is asyncio.current_task():
                del self._making[user], self._arrived[user]

    def committed(self, stored: Sequence[tuple[str, StoredEvent]]) -> None:
        """Note committed events. With a shared store they are read instead, because others may precede them."""
        if self._shared:
            return
        for user, event in stored:
            if user in self._arrived:
                self._arrived[user].append(event)
            self._note(user, [event])

    def _note(self, user: str, events: Sequence[StoredEvent]) -> None:
        """Queue events for the state's next use."""
        for event in events:
            entry = self._entries.get(user)
            if entry is None or event.id <= entry.last_id:
                continue
            if event.time < entry.state.last_time or len(entry.pending) >= MOST_PENDING:
                del self._entries[user]
            else:
                entry.pending.append(event)

    def erase(self, user: str, erased: "asyncio.Future[Any]") -> None:
        """Drop a user's state, and build no new one until the store has erased the events.

        Args:
            user: id of the user.
            erased: completes when the events are erased.
        """
        self.forget(user)
        self._erasing[user] = erased

        def done(_: object) -> None:
            if self._erasing.get(user) is erased:
                del self._erasing[user]

        erased.add_done_callback(done)

    def last_events(self) -> dict[str, int]:
        """Return the last event id of each non-empty state in memory."""
        return {user: entry.last_id for user, entry in self._entries.items() if entry.last_id}

    def forget(self, user: str) -> None:
        """Drop a user's state, including one that is being built."""
        self._entries.pop(user, None)
        self._making.pop(user, None)
        self._arrived.pop(user, None)

    def follow(self, model: Recommender, carry: bool) -> None:
        """Switch to another model.

        Args:
            model: the new model.
            carry: whether the model differs only by new items, so that states without unknown items stay valid.
        """
        self.model = model
        for user in list(self._making):
            self.forget(user)
        for user, entry in list(self._entries.items()):
            if carry and not entry.unknown:
                entry.state.scorer, entry.kept = model, 0
            else:
                del self._entries[user]

    def leave(self) -> list[KeptState]:
        """Return the states worth saving at the end of the service."""
        found = []
        for user, entry in self._entries.items():
            if entry.stored - entry.kept >= WORTH_KEEPING:
                found.append(entry.to_keep(user))
        return found

    def _shrink(self) -> None:
        left = []
        while len(self._entries) > self._capacity:
            user, entry = self._entries.popitem(last=False)
            if entry.stored - entry.kept >= WORTH_KEEPING:
                left.append(entry.to_keep(user))
        if left:
            self._keep(left)


def made_state(model: Recommender, store: Store, user: str) -> tuple[Entry, str]:
    """Build a user's state from the store; runs outside the event loop.

    Returns:
        The state, and its source: ``"kept"`` in the store, or ``"made"`` from all events.
    """
    kept = store.state_of(user)
    if kept is not None and kept.fingerprint == model.fingerprint:
        entry = _kept_state(model, store, kept)
        if entry is not None:
            return entry, "kept"
    stored = store.events_of(user)
    history = model.read([event.event() for event in stored])
    state = state_after(model, history)
    state.user = None  # user features come with each event, as in a batch
    last = stored[-1].id if stored else 0
    return Entry(state, last, len(stored), len(history.unknown)), "made"


def _kept_state(model: Recommender, store: Store, kept: KeptState) -> Entry | None:
    """Load a saved state, and apply later events; None if that is not possible."""
    try:
        state = InterestState.from_bytes(model, kept.content)
    except LongInterestError:
        return None
    since = store.events_of(kept.user, kept.last_id)
    if store.number_of_events(kept.user, kept.last_id) != kept.stored:
        return None
    entry = Entry(state, kept.last_id, kept.stored, kept.unknown, kept.stored, since)
    try:
        entry.take_in()
    except LongInterestError:  # an event is out of order
        return None
    return entry
