"""Tables of the store. ``migrations/`` creates them; a test compares the two.

``events`` has the raw events as clients sent them, the source of truth. ``states`` is a cache that may be emptied at
any time.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

metadata = MetaData()
NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite only autoincrements INTEGER columns

events = Table(
    "events",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=True),  # order of arrival
    Column("user", Text, nullable=False),
    Column("item", Text, nullable=False),
    Column("rating", Double),
    Column("behavior", Text),
    Column("time", Double, nullable=False),  # in the unit of the model that was active on arrival
    Column("date", Text),  # the time as an ISO text, if it was given as one or set by the service
    Column("features", Text),  # JSON object
    Column("received", Double, nullable=False),  # seconds since 1970
    Column("digest", LargeBinary, nullable=False, unique=True),  # equal for the same event sent twice
    Index("events_of_user", "user", "id"),
    sqlite_autoincrement=True,  # ids of erased events are never reused
)

requests = Table(
    "requests",
    metadata,
    Column("key", LargeBinary, primary_key=True),  # hash of API key and Idempotency-Key
    Column("body", LargeBinary, nullable=False),  # hash of the request's body
    Column("answer", Text, nullable=False),  # JSON
    Column("created", Double, nullable=False),  # seconds since 1970
    Index("requests_by_age", "created"),
)

states = Table(
    "states",
    metadata,
    Column("user", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),  # of the model
    Column("last_id", NUMBER, nullable=False),  # last event in the state
    Column("stored", NUMBER, nullable=False),  # number of the user's events up to it
    Column("unknown", NUMBER, nullable=False),  # number of these on items that the model does not know
    Column("content", LargeBinary, nullable=False),
)

item_batches = Table(
    "item_batches",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("model", Text, nullable=False),  # fingerprint of the model folder to which the items were added
    Column("encoder", Text, nullable=False),  # JSON: identity of the text encoder
    Column("boost", Double, nullable=False),
    Column("content", Text, nullable=False),  # JSON: the item rows
    Column("vectors", LargeBinary, nullable=False),  # float32, little-endian
    Column("created", Double, nullable=False),  # seconds since 1970
    sqlite_autoincrement=True,
)

availability = Table(
    "availability",
    metadata,
    Column("item", Text, primary_key=True),  # may be unknown to the model
    Column("available", Boolean, nullable=False),
    Column("said", Double, nullable=False),  # seconds since 1970
)

documents = Table(
    "documents",
    metadata,
    Column("name", Text, primary_key=True),
    Column("content", Text, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("name", Text, primary_key=True),  # a name that services sharing the store watch
    Column("number", NUMBER, nullable=False),  # increases with every change
)
