"""Records and jobs of the store."""

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
        user: id of the user.
        item: token of the item.
        rating: None if missing.
        behavior: None if missing.
        time: in the model's unit.
        date: the time as an ISO text if it was given as one or set by the service; valid for models of any unit.
        features: further values as a JSON object; None without any.
        received: time of arrival, in seconds since 1970.
        digest: hash for deduplication, equal for the same event sent twice.
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
        """Return the values by column."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of the store.

    Attributes:
        id: position in the order of arrival.
        item: see :class:`NewEvent`.
        rating: see :class:`NewEvent`.
        behavior: see :class:`NewEvent`.
        time: see :class:`NewEvent`.
        date: see :class:`NewEvent`.
        features: see :class:`NewEvent`.
    """

    id: int
    item: str
    rating: float | None
    behavior: str | None
    time: float
    date: str | None
    features: str | None

    def event(self) -> Event:
        """Convert to an event for the model."""
        time: float | str | date = self.time if self.date is None else self.date
        return Event(self.item, self.rating, self.behavior, time, json.loads(self.features) if self.features else {})


@dataclass(frozen=True, slots=True)
class Request:
    """Identity of a request with an idempotency key, to detect retries.

    Attributes:
        key: hash of the client and its ``Idempotency-Key``.
        body: hash of the body.
    """

    key: bytes
    body: bytes


class RequestChanged(LongInterestError):
    """An idempotency key that was used for another body."""


@dataclass(frozen=True, slots=True)
class Append:
    """Store events, except duplicates of stored ones.

    Attributes:
        events: events of any users.
        unknown: number of events on items that the model does not know; copied to the result.
        request: None for a request without an idempotency key.
    """

    events: list[NewEvent]
    unknown: int = 0
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """Result of :class:`Append`.

    Attributes:
        accepted: number of new events.
        duplicates: number of events that were already stored.
        unknown: copied from the job.
        replayed: whether the request was a retry, so that nothing was stored now.
        stored: (user, event) of each new event.
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
        user: id of the user.
    """

    user: str


@dataclass(frozen=True, slots=True)
class KeptState:
    """A user's state in the store.

    Attributes:
        user: id of the user.
        fingerprint: fingerprint of the model.
        last_id: id of the last event in the state, in the order of arrival.
        stored: number of the user's events up to it.
        unknown: number of these on items that the model does not know.
        content: the state from :meth:`InterestState.to_bytes`.
    """

    user: str
    fingerprint: str
    last_id: int
    stored: int
    unknown: int
    content: bytes


@dataclass(frozen=True, slots=True)
class SaveStates:
    """Save states, and replace earlier ones of the same users.

    Attributes:
        states: one state per user.
    """

    states: list[KeptState]


@dataclass(frozen=True, slots=True)
class ItemBatch:
    """New items that were added to the model.

    Attributes:
        model: fingerprint of the model folder.
        encoder: identity of the text encoder, as JSON.
        boost: factor of the text vectors.
        content: the item rows, as JSON.
        vectors: text vectors, float32, little-endian, one row per item.
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
    """Delete old idempotency keys; a later retry would be processed as a new request.

    Attributes:
        before: delete keys of requests answered before this time, in seconds since 1970.
    """

    before: float


@dataclass(frozen=True, slots=True)
class SetAvailable:
    """Save which items are in stock, and replace earlier values.

    Attributes:
        items: token -> whether it is in stock.
        said: time of the change, in seconds since 1970.
    """

    items: dict[str, bool]
    said: float


@dataclass(frozen=True, slots=True)
class KeepDocument:
    """Save a document, and replace the previous one of that name.

    Attributes:
        name: name of the document.
        content: its text.
    """

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class ChangeDocument:
    """Change a document that several services may change concurrently; the result is the new text.

    Attributes:
        name: name of the document.
        change: function from the stored text (None if missing) to the new one; may be called more than once.
    """

    name: str
    change: Callable[[str | None], str]


@dataclass(frozen=True, slots=True)
class AnswerOnce:
    """Change a document and save the answer to the request, so that a retry gets the same answer without a change.

    Attributes:
        change: the change of the document.
        request: idempotency key and body hash.
        answer: function from the new text to the answer, as JSON.
        created: time of the answer, in seconds since 1970.
    """

    change: ChangeDocument
    request: Request
    answer: Callable[[str], str]
    created: float


@dataclass(frozen=True, slots=True)
class OnceAnswered:
    """Result of :class:`AnswerOnce`.

    Attributes:
        answer: the answer to the request, new or saved.
        content: the new text; None if the request was a retry.
    """

    answer: str
    content: str | None


Job = (
    Append | Erase | SaveStates | ItemBatch | ForgetRequests | SetAvailable | KeepDocument | ChangeDocument | AnswerOnce
)
