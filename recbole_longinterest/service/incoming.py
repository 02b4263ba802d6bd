"""Convert incoming events for the store: check them against the model, set missing times, and hash them."""

import json
import os
from collections.abc import Sequence
from datetime import datetime, timezone
from hashlib import sha256
from typing import Any

import recbole_longinterest.service.schemas as schemas
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.service.problems import INVALID, Problem
from recbole_longinterest.service.store.records import Append, NewEvent, Request
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.recommender import Recommender

DIGEST = 16  # bytes per hash


def to_append(model: Recommender, given: Sequence[schemas.NewEvent], request: Request | None, now: float) -> Append:
    """Convert the events of a request to a job for the store.

    Every stored event has a time, so that the order of a user's events is known. An event without a time gets the
    current time.

    Args:
        model: the model, which must be able to read the events; unknown items are allowed.
        given: the events.
        request: idempotency key and body hash, or None.
        now: seconds since 1970.

    Raises:
        Problem: for the first event that the model cannot read, with its location.
    """
    today = datetime.fromtimestamp(now, timezone.utc).isoformat()
    counts = counts_from_1970(model)
    missing = next((place for place, event in enumerate(given) if event.time is None), None)
    if missing is not None and not counts:
        raise invalid(
            f"events/{missing}/time",
            "The event needs a time: the times of the training data do not count from 1970, so the service's clock "
            "cannot set one.",
        )
    events = [as_event(each, today) for each in given]
    check(model, events)
    new = []
    for place, (sent, event) in enumerate(zip(given, events, strict=True)):
        time = model.reader.times.one(event.time)
        date = event.time if isinstance(event.time, str) else None
        features = json.dumps(sent.features, sort_keys=True) if sent.features else None
        digest = _digest(sent, time, request, place)
        new.append(NewEvent(sent.user, sent.item, sent.rating, sent.behavior, time, date, features, now, digest))
    unknown = sum(not model.item_id(event.item) for event in events)
    return Append(new, unknown, request)


def as_event(given: schemas.HistoryEvent, today: str | None = None) -> Event:
    """Convert an event for the model.

    Args:
        given: the event as sent.
        today: time for an event without one.
    """
    time = given.time if given.time is not None else today
    return Event(given.item, given.rating, given.behavior, time, given.features)


def check(model: Recommender, events: Sequence[Event]) -> None:
    """Check that a model can read some events. They are checked one by one, which is faster for few events.

    Args:
        model: the model.
        events: events of any users.

    Raises:
        Problem: for the first event that cannot be read, with its location.
    """
    reader = model.reader
    for place, event in enumerate(events):
        try:
            reader.times.one(event.time)
            for name, source in reader.sources.items():
                source.read(event.value(name))
        except LongInterestError as error:
            raise invalid(f"events/{place}", str(error)) from error


def invalid(where: str, what: str) -> Problem:
    """Return the problem for an invalid value of a request."""
    return Problem(INVALID, what, {"errors": [{"at": where, "detail": what}]})


def counts_from_1970(model: Recommender) -> bool:
    """Whether dates can be converted to the time unit of a model's training."""
    training = model.reader.times.training
    return training is None or training.unit is not None


def _digest(event: schemas.NewEvent, time: float, request: Request | None, place: int) -> bytes:
    """Hash an event for deduplication: equal for the same event sent twice."""
    parts: list[Any]
    if event.id is not None:
        parts = ["id", event.user, event.id]
    elif event.time is not None:
        parts = ["event", event.user, event.item, event.rating, event.behavior, time, event.features]
    elif request is not None:  # the time set by the service differs in a retry
        parts = ["request", request.key.hex(), place, event.user]
    else:
        return os.urandom(DIGEST)
    return sha256(json.dumps(parts, sort_keys=True).encode()).digest()[:DIGEST]
