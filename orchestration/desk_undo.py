"""Taking back what one did last: step by step, until what came before has been taken into its run.

A decision is never removed; that it was taken back is one more. Each function works in a transaction that the caller
has opened.
"""

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Connection, Row, select

from .decisions import append
from .errors import NothingToUndo
from .integrity import ANSWERS, settle
from .review_deciding import undo_answer
from .review_items import Decision
from .review_queue import recent
from .review_rows import held, put
from .schema import reviews
from .statements import hot

LOOSE = ("skip", "amend", "mark")  # what makes no run go on


def undoable(connection: Connection, by: str) -> list[Decision]:
    """What `by` can still take back, latest first."""
    latest = list(_latest(connection, by))
    became = _became_of(connection, latest)

    def can_be(one_of: Decision) -> bool:
        return one_of.act not in ANSWERS or _still_waits(became.get((one_of.run, one_of.task)), one_of)

    return list(takewhile(can_be, latest))


def undo(connection: Connection, by: str, at: float) -> list[Decision]:
    """Take back what `by` did last: one decision, or all that were made together.

    Raises:
        NothingToUndo: they have done nothing, or the run has taken what they did.
    """
    standing = list(_latest(connection, by))
    if not standing:
        raise NothingToUndo("there is nothing of yours to take back")
    last = standing[0]
    together = [one_of for one_of in standing if one_of.batch == last.batch] if last.batch else [last]
    for one_of in together:
        if one_of.act in ANSWERS:
            undo_answer(connection, one_of, by, at)
        else:
            _undo_loose(connection, one_of, by, at)
    return together


def _latest(connection: Connection, by: str) -> Iterator[Decision]:
    """The decisions of `by` that stand, latest first; checks do not count, for they change nothing."""
    standing = settle(recent(connection, by)).standing
    yield from (one_of for one_of in reversed(standing) if one_of.act in (*ANSWERS, *LOOSE))


def _undo_loose(connection: Connection, decision: Decision, by: str, at: float) -> None:
    row = held(hot(connection), decision.run, decision.task)
    if decision.act == "skip" and row is not None and row.state == "open":
        put(hot(connection), row, skipped=max(0, row.skipped - 1))
    append(connection, at, by, "undo", decision.run, decision.task, {"undoes": decision.seq}, undoes=decision.seq)


def _became_of(connection: Connection, found: Sequence[Decision]) -> dict[tuple[str, str], Row[Any]]:
    """What has become of what was answered, by run and task; only shown, so the hashes are left to `undo`."""
    runs = {one_of.run for one_of in found if one_of.act in ANSWERS}
    columns = (reviews.c.run, reviews.c.task, reviews.c.state, reviews.c.decision, reviews.c.agreed)
    chosen: Any = select(*columns).where(reviews.c.run.in_(runs))
    return {(row.run, row.task): row for row in connection.execute(chosen)}


def _still_waits(row: Row[Any] | None, decision: Decision) -> bool:
    if row is None:
        return False
    if row.state == "answered":
        return bool(row.decision == decision.seq)
    return row.state == "open" and decision.by in {who for who, _ in from_json(row.agreed)}
