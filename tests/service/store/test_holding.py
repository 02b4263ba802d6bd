"""Who may write a store: one service alone, or several processes that share it."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import create_engine, text

from recbole_longinterest.service.store.database import is_server
from recbole_longinterest.service.store.errors import StoreLostError
from recbole_longinterest.service.store.records import Append, ChangeDocument, ForgetRequests, KeepDocument
from recbole_longinterest.service.store.store import Store, open_store
from tests.service.store.test_store import event, write


@pytest.fixture
def pg_url(postgres: str) -> Iterator[str]:
    """An empty database in PostgreSQL."""
    admin = create_engine(postgres.format("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS holding WITH (FORCE)"))
        connection.execute(text("CREATE DATABASE holding"))
    admin.dispose()
    yield postgres.format("holding")


def end_sessions(url: str) -> None:
    """End all sessions of a database, as a restart of the server does."""
    admin = create_engine(url)
    with admin.connect() as connection:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        assert all(done for (done,) in connection.execute(text(f"{others} AND pid <> pg_backend_pid()")))
    admin.dispose()


def test_one_service_alone_or_several_that_share(pg_url: str) -> None:
    refused = pytest.raises(StoreLostError, match=r"Another service has the store .* Services share a store if all")
    with open_store(pg_url, shared=True) as first, open_store(pg_url, shared=True) as second:
        assert first.shared
        write(first, ForgetRequests(0.0))
        write(second, ForgetRequests(0.0))
        with refused, open_store(pg_url):
            pass
    with open_store(pg_url), refused, open_store(pg_url, shared=True):
        pass


def test_a_lock_that_postgresql_lost_is_taken_again(pg_url: str) -> None:
    with open_store(pg_url) as store:
        end_sessions(pg_url)
        store.keep()
        write(store, ForgetRequests(0.0))
        store.keep()
        with pytest.raises(StoreLostError, match="Another service has the store"), open_store(pg_url):
            pass


@pytest.mark.parametrize("shared", [False, True])
def test_who_lost_the_store_to_another_writes_nothing(pg_url: str, shared: bool) -> None:
    with open_store(pg_url) as store, ExitStack() as later:
        end_sessions(pg_url)
        other = later.enter_context(open_store(pg_url, shared))
        with pytest.raises(StoreLostError, match="Another service has taken the store"):
            write(store, Append([event()]))
        with pytest.raises(StoreLostError, match="Another service has the store"):
            store.keep()
        write(other, Append([event()]))
        later.close()  # it has gone, and what it wrote is not in this one's memory
        with pytest.raises(StoreLostError, match="Another service has taken the store"):
            store.keep()
        assert len(store.events_of("u")) == 1


def test_who_asks_for_later_events_alone_misses_none(store_url: str) -> None:
    """Ids become visible in their order, whoever writes: nothing turns up behind an event that was seen."""
    with ExitStack() as stack:
        stores = [stack.enter_context(open_store(store_url, shared=True)) for _ in range(3)]

        def send(store: Store) -> None:
            for _ in range(40):
                write(store, Append([event() for _ in range(3)]), ChangeDocument("n", lambda n: str(int(n or 0) + 1)))

        writers = [threading.Thread(target=send, args=(store,)) for store in stores[:2]]
        for writer in writers:
            writer.start()
        seen = [0]
        while any(writer.is_alive() for writer in writers):
            seen += [each.id for each in stores[2].events_of("u", seen[-1])]
        seen += [each.id for each in stores[2].events_of("u", seen[-1])]
        assert seen[1:] == [each.id for each in stores[2].events_of("u")] and len(seen) == 241
        assert stores[2].document("n") == "80"  # no change was lost


def test_changes_are_counted(store_url: str) -> None:
    with open_store(store_url) as store:
        before = store.changes()
        write(store, KeepDocument("bandit", "{}"), KeepDocument("other", "{}"), Append([event()]))
        after = store.changes()
        assert {name for name in after if after[name] != before[name]} == {"bandit"}
        assert is_server(store_url) == store_url.startswith("postgresql")
