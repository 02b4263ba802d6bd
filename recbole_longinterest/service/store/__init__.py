"""The service's store: raw events, states as a cache of them, new items. SQLite or PostgreSQL by one code path."""
