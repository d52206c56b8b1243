"""Facts as rows and back: canonical JSON in which messages are named by digest, and the hash that chains them.

This file knows nothing of databases. Nothing that a row says is imported or run: kinds come from a closed list, and
messages from a closed registry.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from ..agents.errors import MessageError
from ..agents.messages import Message
from .errors import LogCorrupt
from .events import KINDS, NAMES, Event, TaskFinished, TaskStarted
from .review_answers import Edit

MESSAGE = "$message"
BEGINNING = "0" * 64  # the hash before the first fact of a run


class FactRow(NamedTuple):
    """A fact as it is stored."""

    run: str
    seq: int
    kind: str
    at: float  # seconds since the epoch, UTC
    task: str | None
    node: str | None
    body: str  # the other fields, as JSON
    hash: str  # sha256, in hex

    def expected_hash(self, before: str) -> str:
        """The hash that this row has if it is as it was written and `before` is the hash of the one before it."""
        return _hash(before, self[:-1])


def row_of(event: Event, before: str, refer: Callable[[Message], str]) -> FactRow:
    """The row of `event`.

    Args:
        before: the hash of the fact before it.
        refer: gives the digest under which a message is stored.
    """
    columns = _columns(event, refer)
    return FactRow._make((*columns, _hash(before, columns)))


def event_of(row: FactRow, resolve: Callable[[str], Message]) -> Event:
    """The fact that `row_of` made a row of.

    Args:
        resolve: gives the message that is stored under a digest.

    Raises:
        LogCorrupt: the row is no fact.
        MessageError: a message does not fit its type any more.
    """
    try:
        fields = _typed(from_json(row.body), resolve)
        fields |= {"run": row.run, "seq": row.seq, "at": row.at}
        fields |= {name: value for name, value in (("task", row.task), ("node", row.node)) if value is not None}
        event: Event = _adapter(row.kind).validate_python(fields)
    except MessageError:  # the row is a fact, but its message is of a type that has changed
        raise
    except (ValueError, TypeError, KeyError) as error:
        told = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise LogCorrupt(f"run {row.run!r}, fact {row.seq}", f"it is no {row.kind!r}: {told}") from error
    return event


def digests_in(body: str) -> set[str]:
    """The digests of the messages that the fact with this body names."""
    return set(_digests(from_json(body)))


def check_chain(run: str, rows: Iterable[FactRow]) -> str:
    """The hash of the last of `rows`, which are all facts of `run`, in order.

    Raises:
        LogCorrupt: naming the first row that is not as it was written.
    """
    before = BEGINNING
    for seq, row in enumerate(rows, start=1):
        if row.seq != seq:
            raise LogCorrupt(f"run {run!r}, fact {seq}", f"it is missing; the next one is number {row.seq}")
        if row.expected_hash(before) != row.hash:
            raise LogCorrupt(f"run {run!r}, fact {seq}", "its content does not fit its hash and the one before it")
        before = row.hash
    return before


_LEAVES = frozenset({str, int, float, bool, type(None)})
_BODY_FIELDS = {kind: tuple(name for name in kind._fields if name not in FactRow._fields) for kind in NAMES}


def _hash(before: str, columns: tuple[Any, ...]) -> str:
    return hashlib.sha256(to_json((before, *columns))).hexdigest()


def _columns(event: Event, refer: Callable[[Message], str]) -> tuple[Any, ...]:
    """The row of `event` without its hash. Most facts are a task's beginning or its answer, so these are quick."""
    if isinstance(event, TaskFinished):
        body = _finished(event, refer)
        return event.run, event.seq, "task-finished", event.at, event.task, event.node, body
    if isinstance(event, TaskStarted):
        body = _started(event, refer)
        return event.run, event.seq, "task-started", event.at, event.task, event.node, body
    task, node = getattr(event, "task", None), getattr(event, "node", None)
    return event.run, event.seq, NAMES[type(event)], event.at, task, node, _body(event, refer)


def _finished(event: TaskFinished, refer: Callable[[Message], str]) -> str:
    if event.output is None or isinstance(event.output, list):
        return _body(event, refer)
    return f'{{"output":{_reference(event.output, refer)}}}'


def _started(event: TaskStarted, refer: Callable[[Message], str]) -> str:
    only = event.inputs[0] if len(event.inputs) == 1 and not event.given else None
    if only is None or isinstance(only, list):
        return _body(event, refer)
    return f'{{"attempt":{event.attempt},"inputs":[{_reference(only, refer)}],"given":{{}}}}'


def _reference(message: Message, refer: Callable[[Message], str]) -> str:
    return f'{{"{MESSAGE}":"{refer(message)}"}}'  # a digest has nothing that JSON escapes


def _body(event: Event, refer: Callable[[Message], str]) -> str:
    """The fields of `event` that are no columns, as JSON."""
    return to_json({name: _plain(getattr(event, name), refer) for name in _BODY_FIELDS[type(event)]}).decode()


@cache
def _adapter(kind: str) -> TypeAdapter[Event]:
    return TypeAdapter(KINDS[kind])


def _plain(value: Any, refer: Callable[[Message], str]) -> Any:
    if value.__class__ in _LEAVES:
        return value
    if isinstance(value, Message):
        return {MESSAGE: refer(value)}
    if hasattr(value, "_asdict"):  # a named tuple inside a fact, which an object tells better than a list
        value = value._asdict()
    if isinstance(value, list | tuple):
        return [_plain(one, refer) for one in value]
    if isinstance(value, Mapping):
        return {name: _plain(one, refer) for name, one in value.items()}
    if isinstance(value, Edit):
        return {"kind": value.kind, "by": value.by, "message": _plain(value.message, refer)}
    return value


def _typed(value: Any, resolve: Callable[[str], Message]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {MESSAGE}:
            return resolve(value[MESSAGE])
        return {name: _typed(one, resolve) for name, one in value.items()}
    return [_typed(one, resolve) for one in value] if isinstance(value, list) else value


def _digests(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        if value.keys() == {MESSAGE}:
            yield value[MESSAGE]
            return
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _digests(one)
