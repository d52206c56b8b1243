"""Runs the steps in the transaction that the log has opened, so that a migration happens wholly or not at all."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"], transactional_ddl=True, transaction_per_migration=False
)
context.run_migrations()
