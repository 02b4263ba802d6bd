"""The right to write a store: one service alone has it, or several processes share it. Others are refused.

PostgreSQL's advisory lock keeps others out, but it ends with its connection, as when the server restarts. So a number
in the table ``changes`` stands behind it: whoever opens the store alone raises it, and every transaction that writes
compares it. A service whose lock is lost takes it again. If another one was there in between, it writes no more.

The same row orders the writers of a shared store. It is locked until a transaction is committed, so the ids of events
rise in the order in which they become visible, and nobody who has seen an event will find one with a smaller id later.
"""

import contextlib
import time
from logging import getLogger

from sqlalchemy import Connection, Engine, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from recbole_longinterest.service.store.errors import StoreError, StoreLostError, one_line
from recbole_longinterest.service.store.tables import changes

LOCK = 0x6C6F6E67696E74  # number of the advisory lock in PostgreSQL
ENDING = 1.0  # seconds that the server may take to see that a killed service has ended
HOLDER = "holder"  # row of the table of changes: odd for a service alone, even for several that share


class Hold:
    """The right of this process.

    Args:
        engine: of the database.
        shared: whether other processes may have it, too.
        shown: URL of the store, for messages.

    Attributes:
        shared: the same.
    """

    def __init__(self, engine: Engine, shared: bool, shown: str) -> None:
        self._engine, self.shared, self._shown = engine, shared, shown
        self._connection: Connection | None = None  # that has PostgreSQL's lock
        self._session = self._number = 0

    def take(self) -> None:
        """Keep others out, before the tables are looked at.

        Raises:
            StoreLostError: if another service is there.
            SQLAlchemyError: if the database cannot be reached.
        """
        if self._engine.dialect.name == "sqlite":  # whose file is locked
            return
        self._connection = connection = self._engine.connect()
        how = "pg_try_advisory_lock_shared" if self.shared else "pg_try_advisory_lock"
        until = time.monotonic() + ENDING
        while not connection.scalar(text(f"SELECT {how}(:number)"), {"number": LOCK}):
            if time.monotonic() < until:
                time.sleep(ENDING / 10)
                continue
            self.release()
            raise StoreLostError(
                f"Another service has the store {self._shown} open. Stop it, or give another --store. Services share a "
                "store if all are started with --workers or --ray."
            )
        self._session = int(connection.scalar(text("SELECT pg_backend_pid()")) or 0)
        if connection.scalar(text("SHOW fsync")) == "off":
            getLogger().warning("PostgreSQL runs with fsync=off: events that were acknowledged may be lost.")
        connection.commit()

    def enter(self, connection: Connection) -> None:
        """Say that this process writes from now on, in a transaction that writes."""
        number = self._said(connection)
        self._number = number + number % 2 if self.shared else number + 1 + number % 2
        connection.execute(update(changes).where(changes.c.name == HOLDER).values(number=self._number))

    def check(self, connection: Connection) -> None:
        """Begin to write: wait for other writers of the store, and see that it is still this service's.

        Raises:
            StoreLostError: if another service has taken it.
        """
        if self._said(connection) != self._number:
            raise StoreLostError(f"Another service has taken the store {self._shown}, so nothing is written here.")

    def keep(self) -> None:
        """See that others are still kept out; to be called every second or so.

        Raises:
            StoreLostError: if another service has taken the store.
            StoreError: if the database does not answer.
        """
        try:
            if not self._is_locked():
                self.release()
                self.take()
                getLogger().warning("PostgreSQL has ended the session with the store's lock; it was taken again.")
                self._compare()
            elif self._connection is None:  # a file system without locks keeps nobody out
                self._compare()
        except SQLAlchemyError as error:
            raise StoreError(f"The store {self._shown} cannot be reached: {one_line(error)}.") from error

    def _is_locked(self) -> bool:
        if self._connection is None:
            return self._engine.dialect.name == "sqlite"
        try:
            same = self._connection.scalar(text("SELECT pg_backend_pid()")) == self._session
            self._connection.commit()
        except SQLAlchemyError:  # the server has ended the session, and with it the lock
            return False
        return same

    def _compare(self) -> None:
        with self._engine.connect() as connection:
            self.check(connection)

    def release(self) -> None:
        """Let others in."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError):  # a session that is gone has no lock
                connection.rollback()
                connection.scalar(text("SELECT pg_advisory_unlock_all()"))  # its end comes later than ours
                connection.commit()
            connection.invalidate()  # not back to the pool: the session would keep the lock
            connection.close()

    def _said(self, connection: Connection) -> int:
        query = select(changes.c.number).where(changes.c.name == HOLDER).with_for_update()
        return int(connection.scalar(query) or 0)
