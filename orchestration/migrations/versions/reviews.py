"""Reviews that wait, what people decide, and who may."""

from typing import Any

from alembic import op
from sqlalchemy import Column, Double, ForeignKey, Integer, String, Text, text

from coterie.orchestration.migrations.open_questions import take_over

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the tables, and a row for each question that is open."""
    op.add_column("runs", Column("author", String))
    op.create_table(
        "reviews",
        Column("run", String, ForeignKey("runs.id"), primary_key=True),
        Column("task", String, primary_key=True),
        Column("flow", String, nullable=False),
        Column("node", String, nullable=False),
        Column("thread", String),
        Column("author", String),
        Column("definition", String, nullable=False),
        Column("role", String, nullable=False),
        Column("digest", String(64), nullable=False),
        Column("asked", Double, nullable=False),
        Column("deadline", Double),
        Column("asking", Text, nullable=False),
        Column("proposed", String),
        Column("risk", Double, nullable=False),
        Column("doubt", Double),
        Column("agrees", Integer, nullable=False),
        Column("urgency", Double, nullable=False),
        Column("alike", String(16), nullable=False),
        Column("text", Text, nullable=False),
        Column("state", String, nullable=False),
        Column("decision", Integer),
        Column("by", String),
        Column("label", String),
        Column("kept", Integer),
        Column("release", Double),
        Column("closed", Double),
        Column("claimed", String),
        Column("claimed_until", Double),
        Column("skipped", Integer, nullable=False),
        Column("agreed", Text, nullable=False),
        Column("notes", Text, nullable=False),
        Column("hash", String(64), nullable=False),
    )
    queue: list[Any] = ["state", text("urgency DESC"), "agrees", "asked"]
    op.create_index("reviews_queue", "reviews", [*queue, "node", "role", "thread", "deadline"])
    op.create_index("reviews_flow_queue", "reviews", ["flow", *queue, "deadline"])
    op.create_index("reviews_alike", "reviews", ["alike", *queue, "deadline"])
    op.create_index("reviews_release", "reviews", ["state", "release"])
    partial: tuple[tuple[str, list[Any], str], ...] = (
        ("claimed", ["claimed", "claimed_until"], "claimed IS NOT NULL"),
        ("role", ["role", "doubt", "kept"], "kept IS NOT NULL"),
        ("decided", ["flow", "node", text("decision DESC")], "decision IS NOT NULL"),
    )
    for name, columns, condition in partial:
        some = text(condition)
        op.create_index(f"reviews_{name}", "reviews", columns, sqlite_where=some, postgresql_where=some)
    op.create_table(
        "decisions",
        Column("seq", Integer, primary_key=True, autoincrement=False),
        Column("at", Double, nullable=False),
        Column("by", String, nullable=False),
        Column("act", String, nullable=False),
        Column("run", String, nullable=False),
        Column("task", String, nullable=False),
        Column("body", Text, nullable=False),
        Column("batch", String),
        Column("undoes", Integer),
        Column("hash", String(64), nullable=False),
    )
    op.create_index("decisions_place", "decisions", ["run", "task"])
    op.create_index("decisions_by", "decisions", ["by", "seq"])
    op.create_table(
        "people",
        Column("name", String, primary_key=True),
        Column("role", String, primary_key=True),
    )
    take_over(op.get_bind())
