"""The tables of a durable log. A change here needs a migration in migrations/versions/, and its name in `REVISIONS`.

Messages are stored once, under the sha256 of their content; facts name them by it. A run's facts are numbered without
gaps, and each carries a hash over itself and the hash before it, so what was changed, left out or added shows.
"""

from sqlalchemy import Column, Double, ForeignKey, Index, Integer, MetaData, String, Table, Text, UniqueConstraint, text

REVISIONS = ("0001", "0002")
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
    Column("author", String),  # the person who started it; NULL: nobody said
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

reviews = Table(
    "reviews",
    metadata,
    # What is asked; never changes.
    Column("run", String, ForeignKey("runs.id"), primary_key=True),
    Column("task", String, primary_key=True),
    Column("flow", String, nullable=False),
    Column("node", String, nullable=False),
    Column("thread", String),
    Column("author", String),
    Column("definition", String, nullable=False),
    Column("role", String, nullable=False),  # that made the proposal; "": none did
    Column("digest", String(64), nullable=False),  # of the proposal
    Column("asked", Double, nullable=False),  # seconds since the epoch, UTC
    Column("deadline", Double),  # seconds since the epoch, UTC
    Column("asking", Text, nullable=False),  # the reasons, the rules and the case, as JSON
    Column("proposed", String),  # label
    Column("risk", Double, nullable=False),
    Column("doubt", Double),
    Column("agrees", Integer, nullable=False),  # 0: two roles, or a model and a rule, say different things
    Column("urgency", Double, nullable=False),  # risk x doubt
    Column("alike", String(16), nullable=False),  # group of near-duplicates
    Column("text", Text, nullable=False),  # of the proposal and its case, in lower case, 4,000 characters at most
    # What has become of it.
    Column("state", String, nullable=False),  # open, answered (not yet taken into the run), closed or ended
    Column("decision", Integer),  # number of the answer
    Column("by", String),  # who gave it
    Column("label", String),  # that was decided
    Column("kept", Integer),  # 1: the proposal was let stand
    Column("release", Double),  # when the answer is taken into the run, in seconds since the epoch
    Column("closed", Double),  # when it was
    Column("claimed", String),  # who has it open
    Column("claimed_until", Double),
    Column("skipped", Integer, nullable=False),
    Column("agreed", Text, nullable=False),  # answers that others must give, too: [person, answer] as JSON
    Column("notes", Text, nullable=False),  # what became of earlier answers, as JSON
    Column("hash", String(64), nullable=False),  # over all columns; see review_rows.py
    # Where a filter lets few through, the last three columns spare the rows that it does not.
    Index("reviews_queue", "state", text("urgency DESC"), "agrees", "asked", "node", "role", "thread", "deadline"),
    Index("reviews_flow_queue", "flow", "state", text("urgency DESC"), "agrees", "asked", "deadline"),
    Index("reviews_alike", "alike", "state", text("urgency DESC"), "agrees", "asked", "deadline"),
    Index("reviews_release", "state", "release"),
    # Asking touches none of these: they hold what people have open, and what was decided.
    Index("reviews_claimed", "claimed", "claimed_until"),  # of rows where claimed IS NOT NULL
    Index("reviews_role", "role", "doubt", "kept"),  # of rows where kept IS NOT NULL
    Index("reviews_decided", "flow", "node", text("decision DESC")),  # of rows where decision IS NOT NULL
)

decisions = Table(
    "decisions",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),  # seconds since the epoch, UTC
    Column("by", String, nullable=False),
    Column("act", String, nullable=False),
    Column("run", String, nullable=False),
    Column("task", String, nullable=False),
    Column("body", Text, nullable=False),  # as JSON
    Column("batch", String),  # decisions that are undone together
    Column("undoes", Integer),  # the one that it takes back
    Column("hash", String(64), nullable=False),  # over itself and the one before
    Index("decisions_place", "run", "task"),
    Index("decisions_by", "by", "seq"),
)

people = Table(
    "people",
    metadata,
    Column("name", String, primary_key=True),
    Column("role", String, primary_key=True),
)
