"""States of users in memory, the least recently used leaving first; made again from the raw events where needed.

A state is taken from memory; or from the store, with the events that came after it; or from all of the user's events.
In each case it equals the batch forward over these events in the order of their times (equal times: of arrival).

A store that other processes write, too, is asked at every request for the user's later events. Their ids rise as they
become visible (:mod:`.store.holding`), and an erasure takes all events of a user. So whatever follows the last event
that the state has taken in is new, and if that event is missing, the user was erased.

Everything but :func:`made_state` runs in the event loop, so there are no locks.
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

MOST_PENDING = 256  # events of a user that are taken in when the state is asked for; after more it leaves memory
WORTH_KEEPING = 16  # events that a state has taken in since it was kept; with fewer it is made again as fast


@dataclass(slots=True)
class Entry:
    """A user's state in memory.

    Attributes:
        state: of :attr:`last_id`'s moment.
        last_id: last event that it has taken in or skipped, in the order of arrival.
        stored: number of the user's events up to it.
        unknown: of these, events on items that the model does not know.
        kept: value of ``stored`` for which the store has the state; 0 for none.
        pending: later ones, none of them earlier than the last event that the state has taken in.
    """

    state: InterestState
    last_id: int = 0
    stored: int = 0
    unknown: int = 0
    kept: int = 0
    pending: list[StoredEvent] = field(default_factory=list)

    def take_in(self) -> InterestState:
        """The state after the pending events."""
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
        """What the store keeps of it."""
        self.kept = self.stored
        content = self.state.to_bytes()
        return KeptState(user, self.state.scorer.fingerprint, self.last_id, self.stored, self.unknown, content)


class Users:
    """States of users in memory.

    Args:
        model: the served model.
        store: with the events.
        executor: where states are made.
        capacity: states that are held.
        keep: takes states that leave memory, to be kept in the store.
        counted: called with ``"hit"``, ``"kept"`` or ``"made"``, by where a state came from.
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
        self._arrived: dict[str, list[StoredEvent]] = {}  # while a state is made
        self._erasing: dict[str, asyncio.Future[Any]] = {}
        self._shared = store.shared

    def __len__(self) -> int:
        """Number of states in memory."""
        return len(self._entries)

    async def state(self, user: str) -> InterestState:
        """The state of a user after all events that were acknowledged.

        Raises:
            StoreError: if the store cannot be read.
            LongInterestError: if the events are none that the model can read.
        """
        while True:
            while user in self._erasing:  # a state of erased events would be kept
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
                    del self._entries[user]  # made again below, which says what is wrong
            making = self._making.get(user)
            if making is None:
                making = self._making[user] = asyncio.ensure_future(self._make(user))
            # Not cancelled with the request that waits for it: others wait, too.
            await asyncio.shield(making)

    async def _caught_up(self, user: str, entry: Entry) -> bool:
        """Give a state the events that the store has now; False if it is to be looked for again."""
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
        """Note events that the store has; of a shared one they are read, because others' may come before them."""
        if self._shared:
            return
        for user, event in stored:
            if user in self._arrived:
                self._arrived[user].append(event)
            self._note(user, [event])

    def _note(self, user: str, events: Sequence[StoredEvent]) -> None:
        """Let events wait for the state's next use."""
        for event in events:
            entry = self._entries.get(user)
            if entry is None or event.id <= entry.last_id:
                continue
            if event.time < entry.state.last_time or len(entry.pending) >= MOST_PENDING:
                del self._entries[user]
            else:
                entry.pending.append(event)

    def erase(self, user: str, erased: "asyncio.Future[Any]") -> None:
        """Forget a user, and make no state until the store has erased the events.

        Args:
            user: whose.
            erased: done when the store has.
        """
        self.forget(user)
        self._erasing[user] = erased

        def done(_: object) -> None:
            if self._erasing.get(user) is erased:
                del self._erasing[user]

        erased.add_done_callback(done)

    def last_events(self) -> dict[str, int]:
        """The last event of each state in memory that has one."""
        return {user: entry.last_id for user, entry in self._entries.items() if entry.last_id}

    def forget(self, user: str) -> None:
        """Drop a user's state, also one that is being made."""
        self._entries.pop(user, None)
        self._making.pop(user, None)
        self._arrived.pop(user, None)

    def follow(self, model: Recommender, carry: bool) -> None:
        """Go on with another model.

        Args:
            model: the new one.
            carry: whether it differs by further items alone, so that a state without unknown items stays what it is.
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
        """States in memory that the store does not have, at the end of the service."""
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
    """Make a user's state from what the store has; runs outside the event loop.

    Returns:
        The state, and whether it was ``"kept"`` in the store or ``"made"`` from all events.
    """
    kept = store.state_of(user)
    if kept is not None and kept.fingerprint == model.fingerprint:
        entry = _kept_state(model, store, kept)
        if entry is not None:
            return entry, "kept"
    stored = store.events_of(user)
    history = model.read([event.event() for event in stored])
    state = state_after(model, history)
    state.user = None  # features of users come with each event, as they do in a batch
    last = stored[-1].id if stored else 0
    return Entry(state, last, len(stored), len(history.unknown)), "made"


def _kept_state(model: Recommender, store: Store, kept: KeptState) -> Entry | None:
    """A state of the store after the events that came since; None if it cannot be gone on from."""
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
    except LongInterestError:  # one of them is out of order
        return None
    return entry
