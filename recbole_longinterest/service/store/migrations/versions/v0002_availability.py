"""Tables of item availability and of documents, such as the bandit's counts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "availability",
        sa.Column("item", sa.Text, primary_key=True),
        sa.Column("available", sa.Boolean, nullable=False),
        sa.Column("said", sa.Double, nullable=False),
    )
    op.create_table(
        "documents",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
    )
