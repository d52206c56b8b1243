"""The tables of a durable log. A change here needs a migration in migrations/versions/, and its name in `REVISIONS`.

Messages are stored once, under the sha256 of their content; facts name them by it. A run's facts are numbered without
gaps, and each carries a hash over itself and the hash before it, so what was changed, left out or added shows.
"""

from sqlalchemy import Column, Double, ForeignKey, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

REVISIONS = ("0001",)
HEAD = REVISIONS[-1]

metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("id", String, primary_key=True),
    Column("flow", String, nullable=False),
    Column("thread", String),
    Column("key", String),
    Column("state", String, nullable=False),  # running, finished, failed or cancelled
    Column("asked", Integer, nullable=False),  # questions that wait for a person
    Column("started", Double, nullable=False),  # seconds since the epoch, UTC
    Column("updated", Double, nullable=False),
    Column("definition", String, nullable=False),
    Column("forked_from", String),
    Column("head", Integer, nullable=False),  # number of the latest fact
    Column("hash", String(64), nullable=False),  # of the latest fact
    Column("fence", Integer, nullable=False),  # goes up whenever a process takes the run up
    Column("worker", String),  # the process that has it; NULL: none
    UniqueConstraint("flow", "key", name="runs_flow_key"),
    Index("runs_flow_state", "flow", "state"),
    Index("runs_thread", "thread"),
)

facts = Table(
    "facts",
    metadata,
    Column("run", String, ForeignKey("runs.id"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("at", Double, nullable=False),  # seconds since the epoch, UTC
    Column("task", String),
    Column("node", String),
    Column("body", Text, nullable=False),  # the other fields, as JSON
    Column("hash", String(64), nullable=False),
    sqlite_with_rowid=False,
)

messages = Table(
    "messages",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("kind", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("origin", Text),
    sqlite_with_rowid=False,
)

definitions = Table(
    "definitions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("body", Text, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("id", String, primary_key=True),
    Column("place", String, nullable=False),  # host and process id, for people
)

pruned = Table(
    "pruned",
    metadata,
    Column("run", String, primary_key=True),
    Column("flow", String, nullable=False),
    Column("head", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("at", Double, nullable=False),  # seconds since the epoch, UTC
)
