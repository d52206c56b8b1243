"""The rows of a run: how its facts and messages are written, checked and read. Each function works in a transaction.

What is done at every step of every run (`RunRows.append`) uses the compiled statements of statements.py; everything
else goes through SQLAlchemy. This file knows nothing of threads.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic_core import PydanticSerializationError, from_json
from sqlalchemy import Connection, Row, select, update

from ..agents.errors import MessageError
from ..agents.messages import Message
from ..agents.registry import Registry, StoredMessage
from .errors import KeyTaken, LogCorrupt, LogError, NoSuchRun, StaleLease
from .events import (
    NAMES,
    EffectSettled,
    EffectUnknown,
    Event,
    ReviewAnswered,
    ReviewRequested,
    ReviewWithdrawn,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    TaskRetried,
)
from .fact_rows import BEGINNING, FactRow, check_chain, digests_in, event_of, row_of
from .fault_points import reached
from .log import Lease
from .review_rows import About, follow
from .schema import facts, messages, runs, workers
from .statements import Hot

ENCODED = 256  # messages whose rows are remembered, so that one that goes to many nodes is encoded once
STATES: Mapping[type[Any], str] = {
    RunFinished: "finished",
    RunFailed: "failed",
    RunCancelled: "cancelled",
    RunStarted: "running",
    TaskRetried: "running",
}
MESSAGE_COLUMNS = ("digest", *StoredMessage._fields)
MOVE = ("more", "now", "new_head", "new_hash", "run", "held", "old_head")  # in the order in which SQLite is told them
ASKED: Mapping[type[Any], int] = {
    ReviewRequested: 1,
    EffectUnknown: 1,
    ReviewAnswered: -1,
    ReviewWithdrawn: -1,
    EffectSettled: -1,
}

BY_NAME = {NAMES[kind]: state for kind, state in STATES.items()}
ASKED_BY_NAME = {NAMES[kind]: more for kind, more in ASKED.items()}


@dataclass(slots=True)
class Head:
    """Where the rows of a run end."""

    seq: int
    hash: str
    known: set[str] = field(default_factory=set)  # digests of messages that its facts name
    added: list[str] = field(default_factory=list)  # those of them that only the open transaction does
    ended: bool = False
    about: About | None = None  # what the run's reviews say of it
    asks: bool = False  # whether the run has reviews


class Rows(NamedTuple):
    """What a commit adds to a run."""

    facts: list[FactRow]
    messages: dict[str, StoredMessage]  # by digest, those that the run did not name before


class RunRows:
    """Writes rows. Remembers the ends of the runs that this process writes, as of the last commit."""

    def __init__(self) -> None:
        self._heads: dict[str, Head] = {}
        self._changed: dict[str, Head] = {}  # in the transaction that is open
        self._encoded: OrderedDict[int, tuple[Message, str, StoredMessage]] = OrderedDict()
        self._failure: LogError | None = None  # of the latest transaction that failed

    def committed(self) -> dict[str, tuple[int, str]]:
        """The transaction is on the disk; the new ends of its runs."""
        changed, self._changed = self._changed, {}
        for run, head in changed.items():
            head.added.clear()
            if head.ended:
                self._heads.pop(run, None)
            else:
                self._heads[run] = head
        return {run: (head.seq, head.hash) for run, head in changed.items()}

    def rolled_back(self, error: BaseException) -> None:
        """Nothing of the transaction was kept, because of `error`."""
        if isinstance(error, LogError):
            self._failure = error
        for head in self._changed.values():
            head.known.difference_update(head.added)
        self._changed.clear()

    def begin(
        self, transaction: Hot, events: Sequence[Event], registry: Registry, worker: str, definition: str
    ) -> None:
        """A new run, with its first facts.

        Raises:
            KeyTaken: its flow has a run with its idempotency key.
        """
        started = events[0]
        assert isinstance(started, RunStarted)  # noqa: S101 - every run begins with it
        rows = self._rows_of(
            Head(0, BEGINNING), events, registry
        )  # first, for it may raise, and nothing is written yet
        cursor, sql = transaction
        about = About(started.flow, started.thread, started.by, started.definition)
        sql.new_definition.execute(cursor, digest=started.definition, body=definition)
        sql.new_run.execute(
            cursor,
            id=started.run,
            flow=started.flow,
            thread=started.thread,
            key=started.key,
            state="running",
            asked=0,
            started=started.at,
            updated=started.at,
            definition=started.definition,
            forked_from=started.forked_from,
            head=0,
            hash=BEGINNING,
            fence=1,
            worker=worker,
            author=started.by,
        )
        if cursor.rowcount != 1:
            sql.find_key.execute(cursor, flow=started.flow, key=started.key)
            raise KeyTaken(started.flow, str(started.key), cursor.fetchone()[0])
        reached("run-inserted")
        self._write(transaction, Lease(started.run, 1), Head(0, BEGINNING, about=about), rows, events, registry)

    def append(self, transaction: Hot, lease: Lease, events: Sequence[Event], registry: Registry) -> None:
        """More facts of a run.

        Raises:
            StaleLease: another process has taken the run over.
            LogError: what came before these facts was not kept.
            MessageError: a message cannot be stored.
        """
        head = self._changed.get(lease.run) or self._heads.get(lease.run)
        if head is None or events[0].seq != head.seq + 1:
            lost = f"facts from number {events[0].seq} on are not kept, because those before were not"
            why = "" if self._failure is None else f"; the log last failed with: {self._failure}"
            raise LogError(f"run {lease.run!r}: {lost}{why}") from self._failure
        self._write(transaction, lease, head, self._rows_of(head, events, registry), events, registry)

    def _rows_of(self, head: Head, events: Sequence[Event], registry: Registry) -> Rows:
        """The rows of `events`, which follow `head`."""
        stored: dict[str, StoredMessage] = {}

        def refer(message: Message) -> str:
            digest, row = self._encode(message, registry)
            stored[digest] = row
            return digest

        rows, before = [], head.hash
        try:
            for event in events:
                row = row_of(event, before, refer)
                rows.append(row)
                before = row.hash
        except PydanticSerializationError as error:
            raise MessageError(f"run {events[0].run!r}: a message cannot be stored: {error}") from error
        return Rows(rows, {digest: row for digest, row in stored.items() if digest not in head.known})

    def _write(
        self, transaction: Hot, lease: Lease, head: Head, rows: Rows, events: Sequence[Event], registry: Registry
    ) -> None:
        cursor, sql = transaction
        state, asked = _state(events)
        ended = state not in (None, "running")
        last = rows.facts[-1]
        moved = (asked, last.at, last.seq, last.hash, lease.run, lease.fence, head.seq)
        if state is None:
            sql.new_head.execute_one(cursor, MOVE, moved)
        else:
            sql.new_head_and_state.execute_one(cursor, (*MOVE, "new_state", "ends"), (*moved, state, ended))
        if cursor.rowcount != 1:
            raise StaleLease(lease.run)
        reached("head-moved")
        if rows.messages:
            new = [(digest, *row) for digest, row in rows.messages.items()]
            sql.new_messages.execute_many(cursor, MESSAGE_COLUMNS, new)
        reached("messages-inserted")
        sql.new_facts.execute_many(cursor, FactRow._fields, rows.facts)
        reached("facts-inserted")
        asks = head.asks or ReviewRequested in map(type, events)
        if asks and head.about is not None:
            follow(transaction, events, head.about, lambda message: self._encode(message, registry)[0])
            reached("reviews-written")
        head.known.update(rows.messages)
        added = [*head.added, *rows.messages]
        self._changed[lease.run] = Head(last.seq, last.hash, head.known, added, ended, head.about, asks)

    def claim(self, connection: Connection, run: str, fence: int, worker: str) -> Lease:
        """The run is `worker`'s from now on, unless somebody was quicker."""
        mine = update(runs).where(runs.c.id == run, runs.c.fence == fence).values(fence=fence + 1, worker=worker)
        if connection.execute(mine).rowcount != 1:
            raise StaleLease(run)
        row = run_row(connection, run)
        assert row is not None  # noqa: S101 - it has just been written
        about = About(row.flow, row.thread, row.author, row.definition)
        self._heads[run] = Head(row.head, row.hash, about=about, asks=True)
        reached("claimed")
        return Lease(run, fence + 1)

    def release(self, connection: Connection, lease: Lease) -> None:
        """The run belongs to nobody, unless somebody has taken it over already."""
        mine = update(runs).where(runs.c.id == lease.run, runs.c.fence == lease.fence).values(worker=None)
        if connection.execute(mine).rowcount == 1:
            self._heads.pop(lease.run, None)

    def _encode(self, message: Message, registry: Registry) -> tuple[str, StoredMessage]:
        known = self._encoded.get(id(message))
        if known is not None and known[0] is message:
            return known[1:]
        row = registry.encode(message)
        digest = row.digest()
        self._encoded[id(message)] = message, digest, row  # keeping it keeps its id from being given to another
        if len(self._encoded) > ENCODED:
            self._encoded.popitem(last=False)
        return digest, row


def read(connection: Connection, run: str, registry: Registry, node: str | None = None) -> list[Event]:
    """The facts of `run`, in order; with `node`, only those of that node.

    Raises:
        NoSuchRun: there is none.
        LogCorrupt: a row is not as it was written.
        MessageError: a message does not fit the types of `registry`.
    """
    rows = checked_rows(connection, run)
    wanted = [row for row in rows if node is None or row.node == node]
    digests = {digest for row in wanted for digest in digests_in(row.body)}
    stored = messages_of(connection, digests)
    decoded: dict[str, Message] = {}

    def resolve(digest: str) -> Message:
        if digest not in decoded:
            if digest not in stored:
                raise LogCorrupt(f"message {digest[:12]}", f"run {run!r} names it, but it is missing")
            decoded[digest] = registry.decode(stored[digest])
        return decoded[digest]

    return [event_of(row, resolve) for row in wanted]


def checked_rows(connection: Connection, run: str) -> list[FactRow]:
    """The rows of `run`, which are as they were written.

    Raises:
        NoSuchRun: there is none.
        LogCorrupt: naming the first row that is not.
    """
    row = run_row(connection, run)
    if row is None:
        raise NoSuchRun(run)
    found = rows_of(connection, run)
    last = check_chain(run, found)
    if len(found) != row.head or last != row.hash:
        raise LogCorrupt(f"run {run!r}", f"its head is fact {row.head}, but its facts end with number {len(found)}")
    check_against_facts(row, found)
    return found


def check_against_facts(row: Row[Any], found: Sequence[FactRow]) -> None:
    """The columns of a run say what its facts say.

    Raises:
        LogCorrupt: naming the first column that does not.
    """
    started = from_json(found[0].body) if found else {}
    states = [BY_NAME[one.kind] for one in found if one.kind in BY_NAME]
    told = {
        "state": states[-1] if states else None,
        "asked": sum(ASKED_BY_NAME.get(one.kind, 0) for one in found),
        "started": found[0].at if found else None,
        "updated": found[-1].at if found else None,
        "author": started.get("by"),
        **{name: started.get(name) for name in ("flow", "thread", "key", "definition", "forked_from")},
    }
    for name, value in told.items():
        if getattr(row, name) != value:
            wrong = f"its {name} is said to be {getattr(row, name)!r}, which its facts do not say"
            raise LogCorrupt(f"run {row.id!r}", wrong)


def rows_of(connection: Connection, run: str) -> list[FactRow]:
    """The rows of `run` as they are, in order."""
    chosen = select(facts).where(facts.c.run == run).order_by(facts.c.seq)
    return [FactRow(*row) for row in connection.execute(chosen)]


def messages_of(connection: Connection, digests: set[str]) -> dict[str, StoredMessage]:
    """Stored messages by digest.

    Raises:
        LogCorrupt: one is not what its digest says.
    """
    found: dict[str, StoredMessage] = {}
    wanted = sorted(digests)
    for begin in range(0, len(wanted), 500):
        chosen = select(messages).where(messages.c.digest.in_(wanted[begin : begin + 500]))
        for digest, *columns in connection.execute(chosen):
            found[digest] = StoredMessage(*columns)
            if found[digest].digest() != digest:
                raise LogCorrupt(f"message {digest[:12]}", "its content does not fit its digest")
    return found


def find(connection: Connection, flow: str, key: str) -> str | None:
    """The run of `flow` with this idempotency key."""
    chosen = select(runs.c.id).where(runs.c.flow == flow, runs.c.key == key)
    found: str | None = connection.execute(chosen).scalar()
    return found


def run_row(connection: Connection, run: str) -> Row[Any] | None:
    return connection.execute(select(runs).where(runs.c.id == run)).one_or_none()


def place_of(connection: Connection, worker: str) -> str:
    """Where a worker is, for people."""
    found: str | None = connection.execute(select(workers.c.place).where(workers.c.id == worker)).scalar()
    return found or f"worker {worker}"


def _state(events: Sequence[Event]) -> tuple[str | None, int]:
    """The state that the last of `events` which says one leads to, and how many questions they add."""
    state, asked = None, 0
    for event in events:
        state = STATES.get(type(event), state)
        asked += ASKED.get(type(event), 0)
    return state, asked
