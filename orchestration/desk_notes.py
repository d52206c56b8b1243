"""What people do at a desk besides answering: skip an item, correct a message upstream, say that a passage is wrong.

None of it makes the run go on; all of it is a decision that is never changed. Each function works in a transaction
that the caller has opened.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from .decisions import allow, append
from .errors import NoSuchReview, ReviewAnswerError
from .review_deciding import about, waiting
from .review_form import faults_of
from .review_items import Decision, EvidenceItem, Item, LineageStep
from .review_rows import held, put
from .statements import hot


def skip(connection: Connection, item: Item, by: str, at: float, more: Mapping[str, Any]) -> Decision:
    """The item waits on, and nobody has it open.

    Raises:
        NoSuchReview: it does not wait any more.
    """
    allow(connection, by, "decide")
    row = held(hot(connection), item.run, item.task) if item.check else waiting(connection, item.run, item.task, held)
    if row is None:
        raise NoSuchReview(item.run, item.task)
    body = {**about(row, item.form), **more}
    if row.state == "open":
        put(hot(connection), row, skipped=row.skipped + 1, claimed=None, claimed_until=None)
    return append(connection, at, by, "skip", row.run, row.task, body)


def amend(
    connection: Connection, step: LineageStep, fields: Mapping[str, Any], why: str, by: str, at: float
) -> Decision:
    """A message upstream should have been another one.

    Raises:
        ReviewAnswerError: `fields` do not fit its type, or change nothing.
    """
    allow(connection, by, "decide")
    message = step.message
    before = step.amended[-1].after if step.amended else message.fields
    if faults := faults_of(step.schema, fields):
        told = "; ".join(f"{fault.field} {fault.problem}" for fault in faults)
        raise ReviewAnswerError(f"this is no {message.type}: {told}; nothing was stored")
    if dict(fields) == dict(before):
        raise ReviewAnswerError(f"this {message.type} is as it was; nothing was stored")
    body = {
        "role": step.role or "",
        "node": step.node,
        "task": step.task,
        "index": step.index,
        "type": message.type,
        "digest": message.digest,
        "before": dict(before),
        "after": dict(fields),
        "why": why,
    }
    return append(connection, at, by, "amend", step.run, step.task, body)


def mark(connection: Connection, evidence: EvidenceItem, right: bool, why: str, by: str, at: float) -> Decision:
    """A passage is right, or wrong, for what was asked."""
    allow(connection, by, "decide")
    body = {
        "role": evidence.role or "",
        "task": evidence.task,
        "digest": evidence.digest,
        "index": evidence.index,
        "passage": evidence.id,
        "right": right,
        "why": why,
    }
    return append(connection, at, by, "mark", evidence.run, evidence.task, body)
