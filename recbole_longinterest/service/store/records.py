"""What goes into the store and comes out of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.events import Event


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be stored.

    Attributes:
        user: who did it.
        item: token.
        rating: None if missing.
        behavior: None if missing.
        time: in the model's unit.
        date: the time as an ISO text if it was given as one or set by the service; it holds for models of any unit.
        features: further values as a JSON object; None for none.
        received: seconds since 1970.
        digest: equal for the same event sent twice.
    """

    user: str
    item: str
    rating: float | None
    behavior: str | None
    time: float
    date: str | None
    features: str | None
    received: float
    digest: bytes

    def row(self) -> dict[str, Any]:
        """Values by column."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of the store.

    Attributes:
        id: place in the order of arrival.
        item: as in :class:`NewEvent`, like the following.
        rating: see there.
        behavior: see there.
        time: see there.
        date: see there.
        features: see there.
    """

    id: int
    item: str
    rating: float | None
    behavior: str | None
    time: float
    date: str | None
    features: str | None

    def event(self) -> Event:
        """The event as a model reads it."""
        time: float | str | date = self.time if self.date is None else self.date
        return Event(self.item, self.rating, self.behavior, time, json.loads(self.features) if self.features else {})


@dataclass(frozen=True, slots=True)
class Request:
    """A request that its client may send again.

    Attributes:
        key: hash of the client and its ``Idempotency-Key``.
        body: hash of the body.
    """

    key: bytes
    body: bytes


class RequestChanged(LongInterestError):
    """A key of a request that was used for another one."""


@dataclass(frozen=True, slots=True)
class Append:
    """Store events, those that are there already left out.

    Attributes:
        events: of any users.
        unknown: how many of them are on items that the model does not know; repeated in the answer.
        request: None for a request without a key.
    """

    events: list[NewEvent]
    unknown: int = 0
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """Result of :class:`Append`.

    Attributes:
        accepted: number of events that are new.
        duplicates: number of those that were there already.
        unknown: as it was given.
        replayed: whether the request was answered before, and nothing was done now.
        stored: the new events with their users.
    """

    accepted: int
    duplicates: int
    unknown: int
    replayed: bool = False
    stored: list[tuple[str, StoredEvent]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Erase:
    """Erase a user's events and state; the result is the number of events.

    Attributes:
        user: whose.
    """

    user: str


@dataclass(frozen=True, slots=True)
class KeptState:
    """A user's state in the store.

    Attributes:
        user: whose.
        fingerprint: of the model.
        last_id: last event that was taken in, in the order of arrival.
        stored: number of the user's events up to it.
        unknown: of these, events on items that the model does not know.
        content: of :meth:`InterestState.to_bytes`.
    """

    user: str
    fingerprint: str
    last_id: int
    stored: int
    unknown: int
    content: bytes


@dataclass(frozen=True, slots=True)
class SaveStates:
    """Keep states, in place of earlier ones of the same users.

    Attributes:
        states: one a user.
    """

    states: list[KeptState]


@dataclass(frozen=True, slots=True)
class ItemBatch:
    """New items that were added to the model.

    Attributes:
        model: fingerprint of the model folder.
        encoder: what made the vectors, as JSON.
        boost: factor of their text vectors.
        content: the rows, as JSON.
        vectors: float32, little-endian, a row an item.
        created: seconds since 1970.
    """

    model: str
    encoder: str
    boost: float
    content: str
    vectors: bytes
    created: float


@dataclass(frozen=True, slots=True)
class ForgetRequests:
    """Forget requests, which may then not come again.

    Attributes:
        before: those that were answered before this time, in seconds since 1970.
    """

    before: float


@dataclass(frozen=True, slots=True)
class SetAvailable:
    """Keep which items are in stock, in place of what was said before.

    Attributes:
        items: by token.
        said: seconds since 1970.
    """

    items: dict[str, bool]
    said: float


@dataclass(frozen=True, slots=True)
class KeepDocument:
    """Keep a text in place of the one of that name.

    Attributes:
        name: of it.
        content: the text.
    """

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class ChangeDocument:
    """Change a text that several services may change at once; the result is the new one.

    Attributes:
        name: of it.
        change: makes the new text of the one that is kept, None if there is none; may run more than once.
    """

    name: str
    change: Callable[[str | None], str]


@dataclass(frozen=True, slots=True)
class AnswerOnce:
    """Change a text and keep the answer to the request that asked for it; the same request changes nothing again.

    Attributes:
        change: of the text.
        request: of a client that may send it again.
        answer: makes the answer, JSON, of the new text.
        created: time of the answer in seconds since 1970.
    """

    change: ChangeDocument
    request: Request
    answer: Callable[[str], str]
    created: float


@dataclass(frozen=True, slots=True)
class OnceAnswered:
    """Result of :class:`AnswerOnce`.

    Attributes:
        answer: to the request, now or before.
        content: the new text; None if the request was answered before.
    """

    answer: str
    content: str | None


Job = (
    Append | Erase | SaveStates | ItemBatch | ForgetRequests | SetAvailable | KeepDocument | ChangeDocument | AnswerOnce
)
