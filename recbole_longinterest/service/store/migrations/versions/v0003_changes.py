"""Change counters for services that share a store, and the fencing number of its holder."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, with a row for each watched name."""
    table = op.create_table(
        "changes",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
    )
    names = ("holder", "items", "availability", "bandit", "models")
    op.bulk_insert(table, [{"name": name, "number": 0} for name in names])
