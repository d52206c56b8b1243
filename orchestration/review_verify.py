"""Whether the rows of questions and decisions are as they were written, and say what the facts say.

A row that is sealed anew is caught by the facts, which name each question and its proposal; a decision by the chain of
hashes, and a last decision that is missing by the row or the fact that names it. Works in a transaction that the caller
has opened.
"""

from collections.abc import Iterator

from pydantic_core import from_json
from sqlalchemy import Connection, select

from .decisions import check_decisions
from .errors import LogCorrupt
from .events import NAMES, ReviewAnswered, ReviewRequested
from .fact_rows import MESSAGE
from .review_rows import ReviewRow, checked
from .schema import decisions, facts, reviews


def review_faults(connection: Connection) -> Iterator[str]:
    """What is wrong, a sentence each; the first bad row of a table comes first."""
    yield from map(str, check_decisions(connection))
    known = set(connection.execute(select(decisions.c.seq)).scalars())
    asked = {(run, task): (digest, at) for run, task, digest, at in _asked(connection)}
    shown: set[tuple[str, str]] = set()
    for found in connection.execute(select(reviews), execution_options={"yield_per": 1000}):
        row = ReviewRow(*found)
        shown.add((row.run, row.task))
        yield from _faults_of_row(row, asked.get((row.run, row.task)), known)
    for run, task in sorted(asked.keys() - shown):
        yield f"run {run!r}, review {task!r}: a fact asks for it, but its row is missing"
    for run, seq, number in _answered(connection):
        if number and number not in known:
            yield f"run {run!r}, fact {seq}: it rests on decision {number}, which is missing"


def _faults_of_row(row: ReviewRow, asked: tuple[str, float] | None, known: set[int]) -> Iterator[str]:
    place = f"run {row.run!r}, review {row.task!r}"
    try:
        checked(row)
    except LogCorrupt as error:
        yield str(error)
        return
    if asked is None:
        yield f"{place}: no fact asks for it"
    elif asked != (row.digest, row.asked):
        yield f"{place}: it asks about another proposal than the fact that it belongs to"
    if row.decision is not None and row.decision not in known:
        yield f"{place}: it rests on decision {row.decision}, which is missing"


def _asked(connection: Connection) -> Iterator[tuple[str, str, str, float]]:
    """Run, task, digest of the proposal and time of each question; of one that was asked twice, the later."""
    chosen = (
        select(facts.c.run, facts.c.task, facts.c.body, facts.c.at)
        .where(facts.c.kind == NAMES[ReviewRequested])
        .order_by(facts.c.run, facts.c.seq)
    )
    for run, task, body, at in connection.execute(chosen, execution_options={"yield_per": 1000}):
        yield run, task, from_json(body)["message"][MESSAGE], at


def _answered(connection: Connection) -> Iterator[tuple[str, int, int]]:
    """Run and number of each fact that an answer is, and the number of its decision; 0: it has none."""
    chosen = select(facts.c.run, facts.c.seq, facts.c.body).where(facts.c.kind == NAMES[ReviewAnswered])
    for run, seq, body in connection.execute(chosen, execution_options={"yield_per": 1000}):
        yield run, seq, from_json(body).get("decision", 0)
