"""Alembic's entry: runs the migrations on the connection that ``database.migrate`` hands over."""

from alembic import context

from recbole_longinterest.service.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
