"""What people decide, as rows: an append-only table in which each row carries a hash over itself and the one before.

Who may decide is told by the table `people`: nobody but those who are named there, in a role that allows it. As long as
it names nobody, whoever can open the log is its owner and may do everything; a file log belongs to one account anyhow.

Each function works in a transaction that the caller has opened. This file knows nothing of queues and terminals.
"""

import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal

from pydantic_core import from_json, to_json
from sqlalchemy import Connection, Row, delete, func, insert, select

from ..agents.messages import repair_text
from .errors import LogCorrupt, NotAllowed
from .fact_rows import BEGINNING
from .log import Right
from .review_items import Act, Decision
from .schema import decisions, people

Role = Literal["author", "operator", "reviewer", "auditor"]

RIGHTS: Mapping[Role, frozenset[Right]] = {
    "author": frozenset({"start"}),
    "operator": frozenset({"start", "operate", "look"}),
    "reviewer": frozenset({"decide", "look"}),
    "auditor": frozenset({"look"}),
}
"""What each role may do."""

LOCK = 7238232  # names the table's lock in PostgreSQL; in SQLite every writing transaction is alone anyhow


def allow(connection: Connection, by: str, right: Right) -> None:
    """Returns where `by` has `right`.

    Raises:
        NotAllowed: they have not.
    """
    named = connection.execute(select(people.c.role).where(people.c.name == by)).scalars().all()
    if any(right in RIGHTS[role] for role in named):
        return
    if not named and connection.execute(select(people.c.name).limit(1)).first() is None:
        return
    able = sorted(role for role, rights in RIGHTS.items() if right in rights)
    raise NotAllowed(by, right, named, able)


def grant(connection: Connection, by: str, name: str, role: Role, at: float) -> Decision:
    """`name` may do what `role` may, from now on.

    Raises:
        NotAllowed: `by` may not name people.
    """
    allow(connection, by, "operate")
    if connection.execute(select(people.c.name).limit(1)).first() is None and (by, role) != (name, "operator"):
        connection.execute(insert(people).values(name=by, role="operator"))  # else nobody could name people any more
    held = select(people.c.role).where(people.c.name == name, people.c.role == role)
    if connection.execute(held).first() is None:
        connection.execute(insert(people).values(name=name, role=role))
    return append(connection, at, by, "grant", "", "", {"name": name, "role": role, "granted": True})


def withdraw(connection: Connection, by: str, name: str, role: Role, at: float) -> Decision:
    """`name` may not any more do what `role` may.

    Raises:
        NotAllowed: `by` may not name people, or `name` is the last operator.
    """
    allow(connection, by, "operate")
    operators = select(func.count()).select_from(people).where(people.c.role == "operator", people.c.name != name)
    if role == "operator" and not connection.execute(operators).scalar_one():
        raise NotAllowed(by, "operate", ["operator"], ["operator"], "the last operator stays one; name another first")
    connection.execute(delete(people).where(people.c.name == name, people.c.role == role))
    return append(connection, at, by, "grant", "", "", {"name": name, "role": role, "granted": False})


def take_turn(connection: Connection) -> None:
    """Nobody else decides anything before the transaction ends. Comes before any row is changed: else two could wait
    for each other, one for this and one for the row."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(LOCK)))


def append(
    connection: Connection,
    at: float,
    by: str,
    act: Act,
    run: str,
    task: str,
    body: Mapping[str, Any],
    batch: str | None = None,
    undoes: int | None = None,
) -> Decision:
    """One more row; `undoes` is the number of the one that it takes back."""
    take_turn(connection)
    last = connection.execute(
        select(decisions.c.seq, decisions.c.hash).order_by(decisions.c.seq.desc()).limit(1)
    ).first()
    seq, before = (last.seq + 1, last.hash) if last is not None else (1, BEGINNING)
    by = repair_text(by)
    kept = repair_text(to_json(body).decode())
    content = (seq, at, by, act, run, task, kept, batch, undoes)
    connection.execute(
        insert(decisions).values(**dict(zip(CONTENT, content, strict=True)), hash=_hash(before, content))
    )
    return Decision(seq, at, by, act, run, task, from_json(kept), batch)


def decision_of(row: Row[Any]) -> Decision:
    """The decision that a row of the table is."""
    return _read(row.seq, row.at, row.by, row.act, row.run, row.task, row.body, row.batch)


@lru_cache(maxsize=1024)
def _read(seq: int, at: float, by: str, act: Act, run: str, task: str, body: str, batch: str | None) -> Decision:
    """Remembered: a desk reads its person's latest decisions at every key."""
    return Decision(seq, at, by, act, run, task, from_json(body), batch)


def one_decision(connection: Connection, seq: int) -> Decision:
    """The decision with this number, as it was written.

    Raises:
        LogCorrupt: it is not.
    """
    near = select(decisions).where(decisions.c.seq.in_((seq - 1, seq))).order_by(decisions.c.seq)
    found = {row.seq: row for row in connection.execute(near)}
    if seq not in found:
        raise LogCorrupt(f"decision {seq}", "it is missing")
    before = found[seq - 1].hash if seq - 1 in found else BEGINNING
    if _hash(before, tuple(getattr(found[seq], name) for name in CONTENT)) != found[seq].hash:
        raise LogCorrupt(f"decision {seq}", UNFIT)
    return decision_of(found[seq])


def check_decisions(connection: Connection) -> Iterator[LogCorrupt]:
    """The first row that is not as it was written, if one is not."""
    before = BEGINNING
    chosen = select(decisions).order_by(decisions.c.seq)
    with connection.execute(chosen, execution_options={"yield_per": 1000}) as rows:
        for number, row in enumerate(rows, start=1):
            if row.seq != number:
                yield LogCorrupt(f"decision {number}", f"it is missing; the next one is number {row.seq}")
                return
            if _hash(before, tuple(getattr(row, name) for name in CONTENT)) != row.hash:
                yield LogCorrupt(f"decision {number}", UNFIT)
                return
            before = row.hash


UNFIT = "its content does not fit its hash and the one before it"
CONTENT = ("seq", "at", "by", "act", "run", "task", "body", "batch", "undoes")


def _hash(before: str, content: tuple[Any, ...]) -> str:
    return hashlib.sha256(to_json((before, *content))).hexdigest()
