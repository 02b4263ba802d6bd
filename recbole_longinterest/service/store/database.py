"""Open a database by URL: SQLite (a file, WAL, synced at every commit) or PostgreSQL; migrations and transactions.

All differences between the two are in this module.
"""

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.packages import require
from recbole_longinterest.service.store.errors import StoreError, one_line
from recbole_longinterest.service.store.holding import LOCK, Hold

MIGRATIONS = Path(__file__).parent / "migrations"
FORMS = "sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
PRAGMAS = {
    "journal_mode": "WAL",
    "synchronous": "FULL",  # a commit waits for the disk, so it survives a power cut
    "secure_delete": "ON",  # erased data is overwritten
    "busy_timeout": "10000",  # milliseconds
}


@contextlib.contextmanager
def open_database(url: str, shared: bool = False) -> Iterator[tuple[Engine, Hold]]:
    """Open a database for a service, and migrate its tables to this version.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql+psycopg://...``; missing files and tables are created.
        shared: allow other processes that also set this. An SQLite file is then not locked here; the parent process
            locks it with :func:`locked_file`.

    Yields:
        The engine, which is closed at the end, and the write permission.

    Raises:
        StoreError: for an unsupported URL, or a database that cannot be reached, was made by a later version, or is
            open in another service.
        FileLockError: for a file that is open in another service.
    """
    parsed = _parsed(url)
    with ExitStack() as stack:
        if not shared:
            stack.enter_context(locked_file(url))
        try:
            engine = _engine(parsed)
            stack.callback(engine.dispose)
            hold = Hold(engine, shared, _shown(parsed))
            stack.callback(hold.release)
            hold.take()
            migrate(engine)
            with _transaction(engine) as connection:
                hold.enter(connection)
        except SQLAlchemyError as error:
            raise StoreError(f"The store {_shown(parsed)} cannot be opened: {one_line(error)}") from error
        yield engine, hold


@contextlib.contextmanager
def reading_database(url: str) -> Iterator[tuple[Engine, Hold]]:
    """Open the database of a running service read-only; writing raises an error."""
    engine = _engine(_parsed(url))
    try:
        yield engine, Hold(engine, True, _shown(engine.url))
    finally:
        engine.dispose()


@contextlib.contextmanager
def locked_file(url: str) -> Iterator[None]:
    """Lock the file of an SQLite store against other services; does nothing for other databases.

    Raises:
        FileLockError: for a file that is open in another service.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite":
        yield
        return
    with lock_files(Path(str(parsed.database)), "serving from", "give another --store"):
        yield


def is_server(url: str) -> bool:
    """Whether a store is a database server, which other machines can reach."""
    return _parsed(url).get_backend_name() != "sqlite"


@contextlib.contextmanager
def writing(engine: Engine, hold: Hold) -> Iterator[Connection]:
    """Run a write transaction, serialised with those of other processes; it is on disk at the end.

    Raises:
        StoreLostError: if another service has taken the store.
    """
    with _transaction(engine) as connection:
        hold.check(connection)
        yield connection


@contextlib.contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # By default the transaction starts at the first change, after the reads that the change depends on.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection


def migrate(engine: Engine) -> None:
    """Migrate the tables of a database to this version.

    Raises:
        StoreError: for tables of a later version.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            if engine.dialect.name != "sqlite":  # services that share a store may start at the same time
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": LOCK + 1})
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            f"The store's tables do not match this version: {error}. Serve it with the version that made it or a later "
            "one, or give another --store."
        ) from error


def insert_new(engine: Engine, table: Table, conflict: str) -> Any:  # noqa: ANN401 - an insert of either dialect
    """Return an INSERT that skips rows whose value in a unique column already exists."""
    dialect: Any = sqlite if engine.dialect.name == "sqlite" else postgresql
    return dialect.insert(table).on_conflict_do_nothing(index_elements=[conflict])


def replace_rows(engine: Engine, table: Table, key: str) -> Any:  # noqa: ANN401
    """Return an INSERT that replaces rows with the same value in a unique column."""
    dialect: Any = sqlite if engine.dialect.name == "sqlite" else postgresql
    new = dialect.insert(table)
    return new.on_conflict_do_update(
        index_elements=[key], set_={column.name: new.excluded[column.name] for column in table.c if column.name != key}
    )


def overwrite_erased(engine: Engine) -> None:
    """Remove erased rows from SQLite's write-ahead log, which keeps old pages until a checkpoint."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))


def _engine(parsed: URL) -> Engine:
    engine = create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite", pool_size=8)
    event.listen(engine, "connect", _set_up)
    return engine


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError(f"A store must be {FORMS}; got {url.partition('@')[2] or url}.") from error
    kind = parsed.get_backend_name()
    if kind not in ("sqlite", "postgresql") or parsed.drivername not in ("sqlite", "postgresql+psycopg", "postgresql"):
        raise StoreError(f"A store must be {FORMS}; got {_shown(parsed)}.")
    if kind == "postgresql":
        require("psycopg", "A store in PostgreSQL")
        return parsed.set(drivername="postgresql+psycopg")
    if not parsed.database or parsed.database == ":memory:" or parsed.query:
        raise StoreError(f"An SQLite store must be a file, such as sqlite:///events.sqlite; got {_shown(parsed)}.")
    return parsed


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def _set_up(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
    """Prepare a new connection."""
    cursor = connection.cursor()
    if type(connection).__module__.startswith("sqlite3"):
        for name, value in PRAGMAS.items():
            cursor.execute(f"PRAGMA {name}={value}")
    else:
        cursor.execute("SHOW synchronous_commit")
        if cursor.fetchone()[0] == "off":
            cursor.execute("SET synchronous_commit = on")
        connection.commit()
    cursor.close()
