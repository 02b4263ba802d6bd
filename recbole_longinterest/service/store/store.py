"""The store: write jobs, many in one transaction, and read queries."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from recbole_longinterest.service.store.changing import (
    KEY_REUSED,
    answer_once,
    change_document,
    changed,
    keep_document,
)
from recbole_longinterest.service.store.database import (
    insert_new,
    open_database,
    overwrite_erased,
    reading_database,
    replace_rows,
    writing,
)
from recbole_longinterest.service.store.errors import StoreError, one_line
from recbole_longinterest.service.store.holding import Hold
from recbole_longinterest.service.store.records import (
    AnswerOnce,
    Append,
    Appended,
    ChangeDocument,
    Erase,
    ForgetRequests,
    ItemBatch,
    Job,
    KeepDocument,
    KeptState,
    OnceAnswered,
    Request,
    RequestChanged,
    SaveStates,
    SetAvailable,
    StoredEvent,
)
from recbole_longinterest.service.store.tables import (
    availability,
    changes,
    documents,
    events,
    item_batches,
    requests,
    states,
)

EVENT = (
    events.c.id,
    events.c.item,
    events.c.rating,
    events.c.behavior,
    events.c.time,
    events.c.date,
    events.c.features,
)


@contextmanager
def open_store(url: str, shared: bool = False) -> Iterator["Store"]:
    """Open a store; see :func:`~recbole_longinterest.service.store.database.open_database`."""
    with open_database(url, shared) as (engine, hold):
        yield Store(engine, hold)


@contextmanager
def reading_store(url: str) -> Iterator["Store"]:
    """Open the store of a running service read-only."""
    with reading_database(url) as (engine, hold):
        yield Store(engine, hold)


class Store:
    """Events, states, and batches of new items in a database.

    One thread writes; any thread may read.

    Args:
        engine: engine of an open database.
        hold: the write permission.

    Attributes:
        shared: whether other processes may write, too.
        url: URL of the store, including the password.
    """

    def __init__(self, engine: Engine, hold: Hold) -> None:
        self._engine, self._hold, self.shared = engine, hold, hold.shared
        self.url = engine.url.render_as_string(hide_password=False)

    def keep(self) -> None:
        """Check that this service still holds the store; see :meth:`Hold.keep`."""
        self._hold.keep()

    # --- writing -----------------------------------------------------------------------------------------------------

    def write(self, jobs: Sequence[Job]) -> list[Any]:
        """Run jobs in order and in one transaction, which is on disk when this returns.

        Returns:
            One result per job: :class:`Appended` for :class:`Append`, the number of events for :class:`Erase`, the text
            for :class:`ChangeDocument`, :class:`OnceAnswered` for :class:`AnswerOnce`, the change counter for
            :class:`ItemBatch`, None for others. A job with a reused idempotency key changes nothing and has a
            :class:`RequestChanged` as its result.

        Raises:
            StoreError: if the database fails, or another service has taken it; nothing was changed.
        """
        results: list[Any] = []
        try:
            with writing(self._engine, self._hold) as connection:
                for appends, group in groupby(jobs, lambda job: isinstance(job, Append)):
                    part = list(group)
                    results += self._append(connection, part) if appends else self._others(connection, part)
            if any(isinstance(job, Erase) for job in jobs):
                overwrite_erased(self._engine)
        except SQLAlchemyError as error:
            raise StoreError(f"The store cannot be written: {one_line(error)}.") from error
        return results

    def _append(self, connection: Connection, jobs: list[Any]) -> list[Appended | RequestChanged]:
        """Store the events of many requests in one statement."""
        answers = self._answered(connection, [job.request for job in jobs if job.request])
        results: list[Appended | RequestChanged | None] = []
        fresh: dict[
            bytes, tuple[bytes, int]
        ] = {}  # key -> body and index of the first request with this key in the group
        rows = []
        for place, job in enumerate(jobs):
            known = answers.get(job.request.key) if job.request else None
            if job.request and known:
                results.append(_again(job.request, *known))
            elif job.request and job.request.key in fresh:
                results.append(None)
            else:
                if job.request:
                    fresh[job.request.key] = job.request.body, place
                rows += [event.row() for event in job.events]
                results.append(None)
        new: dict[bytes, int] = {}
        if rows:
            statement = insert_new(self._engine, events, "digest").returning(events.c.digest, events.c.id)
            new = {bytes(digest): number for digest, number in connection.execute(statement, rows)}
        records = []
        for place, job in enumerate(jobs):
            if results[place] is not None:
                continue
            if job.request and fresh[job.request.key][1] != place:
                first = results[fresh[job.request.key][1]]
                assert isinstance(first, Appended)
                results[place] = _again(job.request, fresh[job.request.key][0], first)
                continue
            results[place] = done = _appended(job, new)
            if job.request:
                answer = json.dumps([done.accepted, done.duplicates, done.unknown])
                created = job.events[0].received
                records.append({"key": job.request.key, "body": job.request.body, "answer": answer, "created": created})
        if records:
            connection.execute(insert(requests), records)
        return [result for result in results if result is not None]

    def _answered(self, connection: Connection, asked: list[Request]) -> dict[bytes, tuple[bytes, Appended]]:
        """Return body and result of the requests that were already answered, by key."""
        if not asked:
            return {}
        query = select(requests.c.key, requests.c.body, requests.c.answer)
        found = connection.execute(query.where(requests.c.key.in_([each.key for each in asked])))
        return {bytes(key): (bytes(body), Appended(*json.loads(answer))) for key, body, answer in found}

    def _others(self, connection: Connection, jobs: list[Any]) -> list[Any]:
        return [self._do(connection, job) for job in jobs]

    def _do(self, connection: Connection, job: Job) -> int | str | OnceAnswered | RequestChanged | None:
        if isinstance(job, Erase):
            connection.execute(delete(states).where(states.c.user == job.user))
            return connection.execute(delete(events).where(events.c.user == job.user)).rowcount
        if isinstance(job, ForgetRequests):
            connection.execute(delete(requests).where(requests.c.created < job.before))
        elif isinstance(job, SaveStates):
            self._save_states(connection, job.states)
        elif isinstance(job, SetAvailable):
            said = [{"item": item, "available": there, "said": job.said} for item, there in job.items.items()]
            connection.execute(replace_rows(self._engine, availability, "item"), said)
            changed(connection, "availability")
        elif isinstance(job, KeepDocument):
            keep_document(connection, self._engine, job.name, job.content)
        elif isinstance(job, ChangeDocument):
            return change_document(connection, self._engine, job)
        elif isinstance(job, AnswerOnce):
            return answer_once(connection, self._engine, job)
        else:
            assert isinstance(job, ItemBatch)
            row = {name: getattr(job, name) for name in ItemBatch.__slots__}
            connection.execute(insert(item_batches), [row])
            return changed(connection, "items")
        return None

    def _save_states(self, connection: Connection, given: list[KeptState]) -> None:
        """Save states, except those of users that another process has erased since."""
        last = [state.last_id for state in given]
        found = connection.execute(select(events.c.id, events.c.user).where(events.c.id.in_(last)))
        there = {(number, user) for number, user in found}
        kept = [state for state in given if (state.last_id, state.user) in there]
        if kept:
            rows = [{name: getattr(state, name) for name in KeptState.__slots__} for state in kept]
            connection.execute(replace_rows(self._engine, states, "user"), rows)

    # --- reading -----------------------------------------------------------------------------------------------------

    def events_of(self, user: str, after: int = 0) -> list[StoredEvent]:
        """Return a user's events in the order of arrival.

        Args:
            user: id of the user.
            after: only events with a larger id.
        """
        query = select(*EVENT).where(events.c.user == user, events.c.id > after).order_by(events.c.id)
        return [StoredEvent(*row) for row in self._rows(query)]

    def number_of_events(self, user: str, until: int) -> int:
        """Count the events of a user up to an event id."""
        query = select(func.count()).select_from(events).where(events.c.user == user, events.c.id <= until)
        ((number,),) = self._rows(query)
        return int(number)

    def state_of(self, user: str) -> KeptState | None:
        """Return a user's saved state; None without one."""
        found = self._rows(select(*states.c).where(states.c.user == user))
        if not found:
            return None
        whose, fingerprint, last_id, stored, unknown, content = found[0]
        return KeptState(whose, fingerprint, last_id, stored, unknown, bytes(content))

    def standing(self, ids: Sequence[int]) -> set[int]:
        """Return which of the given event ids still exist."""
        return {number for (number,) in self._rows(select(events.c.id).where(events.c.id.in_(ids)))}

    def newest(self, number: int) -> list[StoredEvent]:
        """Return the newest events of all users."""
        return [StoredEvent(*row) for row in self._rows(select(*EVENT).order_by(events.c.id.desc()).limit(number))]

    def changes(self) -> dict[str, int]:
        """Return the change counters by name; services that share a store watch them."""
        return {name: number for name, number in self._rows(select(changes.c.name, changes.c.number))}

    def item_batches(self) -> list[ItemBatch]:
        """Return all batches of new items in the order of addition."""
        columns = [item_batches.c[name] for name in ItemBatch.__slots__]
        return [ItemBatch(*row) for row in self._rows(select(*columns).order_by(item_batches.c.id))]

    def availability(self) -> dict[str, bool]:
        """Return the known availability of items by token."""
        return {item: bool(there) for item, there in self._rows(select(availability.c.item, availability.c.available))}

    def document(self, name: str) -> str | None:
        """Return a document's text; None if it does not exist."""
        found = self._rows(select(documents.c.content).where(documents.c.name == name))
        return str(found[0][0]) if found else None

    def check(self) -> None:
        """Run a trivial query.

        Raises:
            StoreError: if it does not answer.
        """
        self._rows(select(1))

    def _rows(self, query: Any) -> list[Any]:  # noqa: ANN401 - a select of any columns
        try:
            with self._engine.connect() as connection:
                return list(connection.execute(query))
        except SQLAlchemyError as error:
            raise StoreError(f"The store cannot be read: {one_line(error)}.") from error


def _appended(job: Append, new: dict[bytes, int]) -> Appended:
    """Build the result of a job from the ids of new events; removes them from ``new``, so each is counted once."""
    stored = []
    for event in job.events:
        number = new.pop(event.digest, None)
        if number is not None:
            kept = (getattr(event, name) for name in StoredEvent.__slots__[1:])
            stored.append((event.user, StoredEvent(number, *kept)))
    return Appended(len(stored), len(job.events) - len(stored), job.unknown, stored=stored)


def _again(request: Request, body: bytes, before: Appended) -> Appended | RequestChanged:
    """Return the result for a request whose key was used before."""
    if request.body != body:
        return RequestChanged(KEY_REUSED)
    return Appended(before.accepted, before.duplicates, before.unknown, replayed=True)
