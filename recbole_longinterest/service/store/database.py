"""A database by its URL: SQLite (a file, WAL, synced at every commit) or PostgreSQL; its migrations and its one holder.

Everything that the two do differently is in this module.
"""

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack
from logging import getLogger
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.packages import require

MIGRATIONS = Path(__file__).parent / "migrations"
FORMS = "sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
LOCK = 0x6C6F6E67696E74  # number of the advisory lock in PostgreSQL
PRAGMAS = {
    "journal_mode": "WAL",
    "synchronous": "FULL",  # a commit waits until the disk has it, so that it survives a power cut
    "secure_delete": "ON",  # what is erased is overwritten
    "busy_timeout": "10000",  # milliseconds
}


class StoreError(LongInterestError):
    """A store that cannot be opened, read or written."""


@contextlib.contextmanager
def open_database(url: str) -> Iterator[Engine]:
    """Open a database for one service, with its tables as this version has them.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql+psycopg://...``; the file or the tables are made if they are missing.

    Yields:
        The engine, closed at the end.

    Raises:
        StoreError: for another kind of URL, a database that cannot be reached or was made by a later version, and one
            that another service has open.
        FileLockError: for a file that another service has open.
    """
    parsed = _parsed(url)
    with ExitStack() as stack:
        if parsed.get_backend_name() == "sqlite":
            stack.enter_context(lock_files(Path(str(parsed.database)), "serving from", "give another --store"))
        try:
            engine = create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite", pool_size=8)
            stack.callback(engine.dispose)
            event.listen(engine, "connect", _set_up)
            connection = stack.enter_context(engine.connect())
            _hold(connection, parsed)
            migrate(engine)
        except SQLAlchemyError as error:
            raise StoreError(f"The store {_shown(parsed)} cannot be opened: {one_line(error)}") from error
        yield engine


def migrate(engine: Engine) -> None:
    """Bring the tables of a database to this version.

    Raises:
        StoreError: for tables of a later version.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            f"The store's tables are not of this version: {error}. Serve it with the version that made it, or a later "
            "one, or give another --store."
        ) from error


def insert_new(engine: Engine, table: Table, conflict: str) -> Any:  # noqa: ANN401 - an insert of either dialect
    """An INSERT that leaves out rows whose value of a unique column is there already."""
    dialect: Any = sqlite if engine.dialect.name == "sqlite" else postgresql
    return dialect.insert(table).on_conflict_do_nothing(index_elements=[conflict])


def replace_rows(engine: Engine, table: Table, key: str) -> Any:  # noqa: ANN401
    """An INSERT that takes the place of rows with the same value of a unique column."""
    dialect: Any = sqlite if engine.dialect.name == "sqlite" else postgresql
    new = dialect.insert(table)
    return new.on_conflict_do_update(
        index_elements=[key], set_={column.name: new.excluded[column.name] for column in table.c if column.name != key}
    )


def overwrite_erased(engine: Engine) -> None:
    """Take erased rows out of SQLite's log, which keeps pages of before until it is written back."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))


def one_line(error: SQLAlchemyError) -> str:
    """What a database says, without the statement and its values, which may be a user's."""
    origin = getattr(error, "orig", None)
    return " ".join(str(origin if origin is not None else type(error).__name__).split())[:300]


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError(f"A store is {FORMS}; got {url.partition('@')[2] or url}.") from error
    kind = parsed.get_backend_name()
    if kind not in ("sqlite", "postgresql") or parsed.drivername not in ("sqlite", "postgresql+psycopg", "postgresql"):
        raise StoreError(f"A store is {FORMS}; got {_shown(parsed)}.")
    if kind == "postgresql":
        require("psycopg", "A store in PostgreSQL")
        return parsed.set(drivername="postgresql+psycopg")
    if not parsed.database or parsed.database == ":memory:" or parsed.query:
        raise StoreError(f"A store in SQLite is a file, as sqlite:///events.sqlite; got {_shown(parsed)}.")
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


def _hold(connection: Connection, url: URL) -> None:
    """Take PostgreSQL's lock for one service, which its connection holds as long as it lives.

    Raises:
        StoreError: if another service holds it.
    """
    if url.get_backend_name() != "postgresql":
        return
    if not connection.scalar(text("SELECT pg_try_advisory_lock(:number)"), {"number": LOCK}):
        raise StoreError(f"Another service has the store {_shown(url)} open. Stop it, or give another --store.")
    if connection.scalar(text("SHOW fsync")) == "off":
        getLogger().warning("PostgreSQL runs with fsync=off: events that were acknowledged may be lost.")
    connection.commit()
