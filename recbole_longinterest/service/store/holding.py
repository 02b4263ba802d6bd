"""Write permission for a store: exclusive to one service, or shared by several processes.

PostgreSQL's advisory lock keeps other services out, but it ends with its connection, for example when the server
restarts. So there is also a fencing number in the table ``changes``: a service that opens the store exclusively
increases it, and every write transaction compares it. A service that loses its lock takes it again. If another service
has opened the store in between, it stops writing.

The same row serialises the writers of a shared store. It is locked until the transaction commits, so event ids rise in
the order in which events become visible: after an event is visible, no event with a smaller id can appear.
"""

import contextlib
import time
from logging import getLogger

from sqlalchemy import Connection, Engine, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from recbole_longinterest.service.store.errors import StoreError, StoreLostError, one_line
from recbole_longinterest.service.store.tables import changes

LOCK = 0x6C6F6E67696E74  # number of PostgreSQL's advisory lock
ENDING = 1.0  # seconds that the server may need to notice that a killed service has ended
HOLDER = "holder"  # row of the table of changes; its number is odd for an exclusive service, even for shared ones


class Hold:
    """Write permission of this process.

    Args:
        engine: engine of the database.
        shared: whether other processes may write, too.
        shown: URL of the store, for messages.

    Attributes:
        shared: whether other processes may write, too.
    """

    def __init__(self, engine: Engine, shared: bool, shown: str) -> None:
        self._engine, self.shared, self._shown = engine, shared, shown
        self._connection: Connection | None = None  # holds PostgreSQL's lock
        self._session = self._number = 0

    def take(self) -> None:
        """Take the lock, before the tables are read.

        Raises:
            StoreLostError: if another service has the store open.
            SQLAlchemyError: if the database cannot be reached.
        """
        if self._engine.dialect.name == "sqlite":  # the file itself is locked
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
        """Register this process as a writer, inside a write transaction."""
        number = self._holder_number(connection)
        self._number = number + number % 2 if self.shared else number + 1 + number % 2
        connection.execute(update(changes).where(changes.c.name == HOLDER).values(number=self._number))

    def check(self, connection: Connection) -> None:
        """Start a write: wait for other writers, and check that this service still holds the store.

        Raises:
            StoreLostError: if another service has taken it.
        """
        if self._holder_number(connection) != self._number:
            raise StoreLostError(
                f"Another service has taken the store {self._shown}, so this service cannot write any more."
            )

    def keep(self) -> None:
        """Check that this service still holds the lock; call this about every second.

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
            elif self._connection is None:  # SQLite: the file system may have no locks
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
        """Release the lock."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError):  # a closed session has no lock
                connection.rollback()
                # The session may end later than this process.
                connection.scalar(text("SELECT pg_advisory_unlock_all()"))
                connection.commit()
            connection.invalidate()  # not returned to the pool, where the session would keep the lock
            connection.close()

    def _holder_number(self, connection: Connection) -> int:
        query = select(changes.c.number).where(changes.c.name == HOLDER).with_for_update()
        return int(connection.scalar(query) or 0)
