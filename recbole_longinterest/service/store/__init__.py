"""The service's store: raw events, cached user states, and new items, in SQLite or PostgreSQL."""
