"""Migrations, and what a database promises."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from recbole_longinterest.service.store.database import PRAGMAS, migrate, open_database
from recbole_longinterest.service.store.errors import StoreError
from recbole_longinterest.service.store.records import ForgetRequests
from recbole_longinterest.service.store.store import open_store
from recbole_longinterest.service.store.tables import metadata


def test_migrations_make_the_tables_that_the_code_knows(store_url: str) -> None:
    with open_database(store_url) as (engine, _), engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrations_run_again_change_nothing(store_url: str) -> None:
    with open_database(store_url) as (engine, _):
        migrate(engine)
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "0003"


def test_a_store_of_a_later_version_is_refused(store_url: str) -> None:
    with open_database(store_url) as (engine, _), engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="The store's tables do not match this version"), open_store(store_url):
        pass


def test_sqlite_syncs_each_commit_and_overwrites_what_is_erased(tmp_path: Path) -> None:
    with open_database(f"sqlite:///{tmp_path / 'e'}") as (engine, _), engine.connect() as connection:
        found = {name: connection.scalar(text(f"PRAGMA {name}")) for name in PRAGMAS}
        assert found == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "busy_timeout": 10000}


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "e").write_text("something else, and long enough to be read as a database's first page" * 20)
    with (
        pytest.raises(StoreError, match="cannot be opened: file is not a database"),
        open_store(f"sqlite:///{tmp_path / 'e'}"),
    ):
        pass


def test_a_database_that_fails_is_an_error_of_the_store(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'e'}") as store:
        with sqlite3.connect(tmp_path / "e") as other:
            other.execute("DROP TABLE events")
        with pytest.raises(StoreError, match="The store cannot be read: no such table: events"):
            store.events_of("u")


def test_postgresql_may_go_and_come_back(postgres: str) -> None:
    """Connections that the server has closed are replaced; at most what was under way fails, and says so."""
    admin = create_engine(postgres.format("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE gone"))
    with open_store(postgres.format("gone")) as store:
        store.check()
        store.write([ForgetRequests(0.0)])
        with admin.connect() as connection:
            closing = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'gone'"
            assert all(done for (done,) in connection.execute(text(closing)))
        store.check()
        store.write([ForgetRequests(0.0)])
    admin.dispose()
