"""Initial tables: events, requests, states, batches of new items."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "events",
        sa.Column("id", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("rating", sa.Double),
        sa.Column("behavior", sa.Text),
        sa.Column("time", sa.Double, nullable=False),
        sa.Column("date", sa.Text),
        sa.Column("features", sa.Text),
        sa.Column("received", sa.Double, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sqlite_autoincrement=True,
    )
    op.create_index("events_of_user", "events", ["user", "id"])
    op.create_table(
        "requests",
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
    )
    op.create_index("requests_by_age", "requests", ["created"])
    op.create_table(
        "states",
        sa.Column("user", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("last_id", NUMBER, nullable=False),
        sa.Column("stored", NUMBER, nullable=False),
        sa.Column("unknown", NUMBER, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "item_batches",
        sa.Column("id", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("encoder", sa.Text, nullable=False),
        sa.Column("boost", sa.Double, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("vectors", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sqlite_autoincrement=True,
    )
