"""Script that Alembic runs for each command. The connection comes from `schema`."""

from alembic import context

from reservations.adapters.mysql.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
