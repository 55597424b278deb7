"""Run by Alembic inside the caller's transaction: keeper.journal.database hands its connection over."""

from alembic import context

from keeper.journal.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
