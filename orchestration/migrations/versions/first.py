"""The first tables."""

from alembic import op
from sqlalchemy import Column, Double, ForeignKey, Integer, String, Text, UniqueConstraint

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes every table."""
    op.create_table(
        "runs",
        Column("id", String, primary_key=True),
        Column("flow", String, nullable=False),
        Column("thread", String),
        Column("key", String),
        Column("state", String, nullable=False),
        Column("asked", Integer, nullable=False),
        Column("started", Double, nullable=False),
        Column("updated", Double, nullable=False),
        Column("definition", String, nullable=False),
        Column("forked_from", String),
        Column("head", Integer, nullable=False),
        Column("hash", String(64), nullable=False),
        Column("fence", Integer, nullable=False),
        Column("worker", String),
        UniqueConstraint("flow", "key", name="runs_flow_key"),
    )
    op.create_index("runs_flow_state", "runs", ["flow", "state"])
    op.create_index("runs_thread", "runs", ["thread"])
    op.create_table(
        "facts",
        Column("run", String, ForeignKey("runs.id"), primary_key=True),
        Column("seq", Integer, primary_key=True, autoincrement=False),
        Column("kind", String, nullable=False),
        Column("at", Double, nullable=False),
        Column("task", String),
        Column("node", String),
        Column("body", Text, nullable=False),
        Column("hash", String(64), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "messages",
        Column("digest", String(64), primary_key=True),
        Column("kind", String, nullable=False),
        Column("version", Integer, nullable=False),
        Column("body", Text, nullable=False),
        Column("origin", Text),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "definitions",
        Column("digest", String(64), primary_key=True),
        Column("body", Text, nullable=False),
    )
    op.create_table(
        "workers",
        Column("id", String, primary_key=True),
        Column("place", String, nullable=False),
    )
    op.create_table(
        "pruned",
        Column("run", String, primary_key=True),
        Column("flow", String, nullable=False),
        Column("head", Integer, nullable=False),
        Column("hash", String(64), nullable=False),
        Column("at", Double, nullable=False),
    )
