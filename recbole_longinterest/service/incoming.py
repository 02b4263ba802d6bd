"""Events as clients send them to events as the store keeps them: checked against the model, timed, and hashed."""

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

DIGEST = 16  # bytes of a hash


def to_append(model: Recommender, given: Sequence[schemas.NewEvent], request: Request | None, now: float) -> Append:
    """What the store is to do with events of a request.

    Every stored event has a time, so that the order of a user's events is always known: one that is sent without gets
    the service's.

    Args:
        model: which has to be able to read them; items that it does not know may come.
        given: the events.
        request: of the client, if it may send it again.
        now: seconds since 1970.

    Raises:
        Problem: for events that the model cannot read, with the place of the first of them.
    """
    today = datetime.fromtimestamp(now, timezone.utc).isoformat()
    counts = counts_from_1970(model)
    missing = next((place for place, event in enumerate(given) if event.time is None), None)
    if missing is not None and not counts:
        raise invalid(
            f"events/{missing}/time",
            "The event needs a time: the training's times do not count from 1970, as the service's clock does.",
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
    """An event as the model reads it.

    Args:
        given: as it was sent.
        today: time of one that has none.
    """
    time = given.time if given.time is not None else today
    return Event(given.item, given.rating, given.behavior, time, given.features)


def check(model: Recommender, events: Sequence[Event]) -> None:
    """See whether a model can read events, one by one: of few events that is faster than by columns.

    Args:
        model: the model.
        events: of any users.

    Raises:
        Problem: if not, with the place of the first of them.
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
    """The problem of a value that cannot be used."""
    return Problem(INVALID, what, {"errors": [{"at": where, "detail": what}]})


def counts_from_1970(model: Recommender) -> bool:
    """Whether a date can be turned into a time of a model's training."""
    training = model.reader.times.training
    return training is None or training.unit is not None


def _digest(event: schemas.NewEvent, time: float, request: Request | None, place: int) -> bytes:
    """A hash that is equal for the same event sent twice."""
    parts: list[Any]
    if event.id is not None:
        parts = ["id", event.user, event.id]
    elif event.time is not None:
        parts = ["event", event.user, event.item, event.rating, event.behavior, time, event.features]
    elif request is not None:  # the service's own time differs each time
        parts = ["request", request.key.hex(), place, event.user]
    else:
        return os.urandom(DIGEST)
    return sha256(json.dumps(parts, sort_keys=True).encode()).digest()[:DIGEST]
