"""Entry point of Alembic: runs the migrations on the connection from ``database.migrate``."""

from alembic import context

from recbole_longinterest.service.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
