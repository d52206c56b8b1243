"""Reading a durable log without the program that wrote it: lists, timelines, exports and the check of every row.

Filters are typed values that become bound parameters; nothing that a caller gives becomes part of a statement. Nothing
here needs the message types: bodies are shown as the JSON that is stored.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from pydantic_core import from_json
from sqlalchemy import Connection, Row, and_, func, select
from sqlalchemy.sql import Select

from ..agents.messages import repair_text
from ..agents.registry import StoredMessage
from .decisions import decision_of
from .errors import AmbiguousRun, LogCorrupt, NoSuchRun, RunFailed
from .events import NAMES, TaskFailed
from .fact_rows import MESSAGE, FactRow, digests_in
from .review_items import Decision
from .review_verify import review_faults
from .run_rows import checked_rows, messages_of, run_row
from .schema import decisions, definitions, facts, messages, pruned, runs
from .witness import WitnessFile

RunState = Literal["running", "waiting", "finished", "failed", "cancelled"]
"""What a run can be; "waiting" is a running one of which a person is asked something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs are wanted; None: whatever it is."""

    flow: str | None = None
    state: RunState | None = None
    thread: str | None = None
    key: str | None = None
    since: float | None = None  # started at or after, in seconds since the epoch
    until: float | None = None  # started before, in seconds since the epoch
    limit: int | None = None  # the latest ones


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A line of `coterie runs`."""

    id: str
    flow: str
    state: RunState
    thread: str | None
    key: str | None
    started: float  # seconds since the epoch, UTC
    updated: float  # seconds since the epoch, UTC
    facts: int
    asked: int  # questions that wait for a person
    forked_from: str | None


@dataclass(frozen=True, slots=True)
class ShownFact:
    """A fact with its messages in place, as plain JSON values."""

    seq: int
    kind: str
    at: float  # seconds since the epoch, UTC
    task: str | None
    node: str | None
    fields: Mapping[str, Any]  # a message is {"type", "version", "digest", "fields", "origin"}
    hash: str


@dataclass(frozen=True, slots=True)
class DeadRun:
    """A run that failed, and why."""

    run: RunSummary
    task: str | None  # the one that ended it; None: something else did, such as a join that cannot be filled
    node: str
    error: str  # name of the exception's class
    reason: str
    attempts: int  # of the task


@dataclass(slots=True)
class Verdict:
    """What the check of a whole log found."""

    runs: int = 0
    facts: int = 0
    messages: int = 0
    faults: list[str] = field(default_factory=list)  # the first bad row comes first

    @property
    def sound(self) -> bool:
        return not self.faults


def list_runs(connection: Connection, wanted: RunFilter) -> list[RunSummary]:
    """The runs that `wanted` describes, latest first."""
    if any(text is not None and repair_text(text) != text for text in (wanted.flow, wanted.thread, wanted.key)):
        return []  # no stored text holds NUL or a lone surrogate, and not every driver takes them
    return [_summary(row) for row in connection.execute(_selected(wanted))]


def one_run(connection: Connection, run: str) -> RunSummary:
    """The run with this id.

    Raises:
        NoSuchRun: there is none.
    """
    row = run_row(connection, run) if repair_text(run) == run else None
    if row is None:
        raise NoSuchRun(run)
    return _summary(row)


def full_id(connection: Connection, beginning: str) -> str:
    """The id of the one run that begins so.

    Raises:
        NoSuchRun: none does.
        AmbiguousRun: several do.
    """
    if not beginning or repair_text(beginning) != beginning:
        raise NoSuchRun(beginning)
    alike = select(runs.c.id).where(runs.c.id.startswith(beginning, autoescape=True)).order_by(runs.c.id).limit(3)
    found = connection.execute(alike).scalars().all()  # an id that is given whole comes first
    if not found:
        raise NoSuchRun(beginning)
    if len(found) > 1 and beginning not in found:
        raise AmbiguousRun(beginning, found)
    return beginning if beginning in found else found[0]


def show(connection: Connection, run: str) -> list[ShownFact]:
    """Every fact of `run`, in order, checked.

    Raises:
        NoSuchRun: there is none.
        LogCorrupt: a row is not as it was written.
    """
    rows = checked_rows(connection, one_run(connection, run).id)
    stored = messages_of(connection, {digest for row in rows for digest in digests_in(row.body)})
    return [_shown(row, stored) for row in rows]


def dead(connection: Connection, wanted: RunFilter) -> list[DeadRun]:
    """The failed ones of the runs that `wanted` describes, latest first."""
    failed = list_runs(connection, replace(wanted, state="failed"))
    return [_dead(run, show(connection, run.id)) for run in failed]


def export(connection: Connection, wanted: RunFilter) -> Iterator[dict[str, Any]]:
    """Every fact of the runs that `wanted` describes, oldest run first, each as one JSON object."""
    for run in reversed(list_runs(connection, wanted)):
        for fact in show(connection, run.id):
            yield {"run": run.id, "flow": run.flow, **asdict(fact)}


def verify(connection: Connection) -> Verdict:
    """Checks every row of the log: numbers, hashes, heads, messages, definitions. Needs no key and no types."""
    verdict = Verdict()
    named: set[str] = set()
    for run in connection.execute(select(runs.c.id).order_by(runs.c.started, runs.c.id)).scalars().all():
        verdict.runs += 1
        try:
            rows = checked_rows(connection, run)
            named |= {digest for row in rows for digest in digests_in(row.body)}
            verdict.facts += len(rows)
        except (LogCorrupt, ValueError) as error:
            verdict.faults.append(str(error))
    stored = _check_messages(connection, verdict)
    verdict.faults += [
        f"message {digest[:12]}: it is named by a fact, but missing" for digest in sorted(named - stored)
    ]
    orphans = select(facts.c.run).where(facts.c.run.not_in(select(runs.c.id))).distinct()
    verdict.faults += [f"run {run!r}: it has facts, but is missing" for run in connection.execute(orphans).scalars()]
    lost = select(runs.c.id).where(runs.c.definition.not_in(select(definitions.c.digest)))
    verdict.faults += [f"run {run!r}: its flow's definition is missing" for run in connection.execute(lost).scalars()]
    verdict.faults += [
        f"definition {digest[:12]}: its content does not fit its digest"
        for digest, body in connection.execute(select(definitions))
        if hashlib.sha256(body.encode()).hexdigest() != digest
    ]
    if not verdict.faults:  # a row that cannot be read says nothing of those that rest on it
        verdict.faults += review_faults(connection)
    return verdict


def decisions_since(connection: Connection, since: float | None = None, by: str | None = None) -> list[Decision]:
    """What people decided, latest first; at or after `since`, in seconds since the epoch."""
    chosen = select(decisions).order_by(decisions.c.seq.desc())
    if since is not None:
        chosen = chosen.where(decisions.c.at >= since)
    if by is not None:
        chosen = chosen.where(decisions.c.by == repair_text(by))
    return [decision_of(row) for row in connection.execute(chosen)]


def heads(connection: Connection) -> dict[str, tuple[int, str]]:
    """For each run, also those that were pruned: the number and the hash of its latest fact."""
    found: dict[str, tuple[int, str]] = {}
    for table, name in ((pruned, pruned.c.run), (runs, runs.c.id)):
        for run, seq, hashed in connection.execute(select(name, table.c.head, table.c.hash)):
            found[run] = seq, hashed
    return found


def missing(connection: Connection, witness: WitnessFile | None) -> list[str]:
    """What `witness` has seen and the log does not have, a sentence each."""
    if witness is None:
        return []
    hash_of: dict[tuple[str, int], str] = {}
    for run, (seq, _) in witness.seen.items():
        hashed = connection.execute(select(facts.c.hash).where(facts.c.run == run, facts.c.seq == seq)).scalar()
        if hashed is not None:
            hash_of[run, seq] = hashed
    return witness.missing(heads(connection), hash_of)


def _dead(run: RunSummary, found: Sequence[ShownFact]) -> DeadRun:
    last, why = found[-1].fields, found[-2]
    if why.kind == NAMES[TaskFailed] and last["error"] == RunFailed.__name__:  # nothing caught the task's own error
        told = why.fields
        return DeadRun(run, why.task, str(why.node), told["error"], told["reason"], told["attempt"])
    return DeadRun(run, None, str(found[-1].node), last["error"], last["reason"], 0)


def _check_messages(connection: Connection, verdict: Verdict) -> set[str]:
    stored: set[str] = set()
    for digest, *columns in connection.execute(select(messages), execution_options={"yield_per": 1000}):
        verdict.messages += 1
        stored.add(digest)
        if StoredMessage(*columns).digest() != digest:
            verdict.faults.append(f"message {digest[:12]}: its content does not fit its digest")
    return stored


def _selected(wanted: RunFilter) -> Select[Any]:
    conditions = [
        column == value
        for column, value in (
            (runs.c.flow, wanted.flow),
            (runs.c.thread, wanted.thread),
            (runs.c.key, wanted.key),
            (runs.c.state, "running" if wanted.state == "waiting" else wanted.state),
        )
        if value is not None
    ]
    if wanted.state in ("running", "waiting"):
        conditions.append(runs.c.asked > 0 if wanted.state == "waiting" else runs.c.asked == 0)
    if wanted.since is not None:
        conditions.append(runs.c.started >= wanted.since)
    if wanted.until is not None:
        conditions.append(runs.c.started < wanted.until)
    chosen = select(runs).order_by(runs.c.started.desc(), runs.c.id.desc())
    if conditions:
        chosen = chosen.where(and_(*conditions))
    return chosen if wanted.limit is None else chosen.limit(wanted.limit)


def _summary(row: Row[Any]) -> RunSummary:
    state: RunState = "waiting" if row.state == "running" and row.asked > 0 else row.state
    return RunSummary(
        id=row.id,
        flow=row.flow,
        state=state,
        thread=row.thread,
        key=row.key,
        started=row.started,
        updated=row.updated,
        facts=row.head,
        asked=row.asked,
        forked_from=row.forked_from,
    )


def _shown(row: FactRow, stored: Mapping[str, StoredMessage]) -> ShownFact:
    fields = _in_place(from_json(row.body), stored)
    return ShownFact(row.seq, row.kind, row.at, row.task, row.node, fields, row.hash)


def _in_place(value: Any, stored: Mapping[str, StoredMessage]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {MESSAGE}:
            message = stored[value[MESSAGE]]
            return {
                "type": message.kind,
                "version": message.version,
                "digest": value[MESSAGE],
                "fields": from_json(message.body),
                "origin": None if message.origin is None else from_json(message.origin),
            }
        return {name: _in_place(one, stored) for name, one in value.items()}
    return [_in_place(one, stored) for one in value] if isinstance(value, list) else value


def size(connection: Connection) -> int:
    """How many facts the log has."""
    found: int = connection.execute(select(func.count()).select_from(facts)).scalar_one()
    return found
