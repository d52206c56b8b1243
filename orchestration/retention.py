"""What is forgotten, and when: ended runs that nobody reviewed, after a time.

Kept are runs that have not ended, and runs in which a person decided anything, since training rows and audits need
them whole. Of a run that is forgotten, its last number and hash stay, so that an audit can tell a pruned run from a
stolen one.
"""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, exists, insert, or_, select

from .events import NAMES, EffectSettled, InputSwapped, ReviewAnswered, TaskRetried
from .fact_rows import digests_in
from .schema import decisions, facts, messages, pruned, reviews, runs

DECISIONS = tuple(NAMES[kind] for kind in (ReviewAnswered, EffectSettled, TaskRetried, InputSwapped))


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was forgotten."""

    runs: int
    facts: int
    messages: int
    kept_for_reviews: int  # runs that are old enough, but in which a person decided something


def prune(connection: Connection, before: float, flow: str | None = None, *, dry_run: bool = False) -> Pruned:
    """Forgets the runs that ended before `before`, in seconds since the epoch.

    Args:
        flow: only runs of this flow.
        dry_run: only say what would be forgotten.
    """
    old = and_(runs.c.state != "running", runs.c.updated < before)
    if flow is not None:
        old = and_(old, runs.c.flow == flow)
    answered = exists().where(facts.c.run == runs.c.id, facts.c.kind.in_(DECISIONS))
    decided = or_(answered, exists().where(decisions.c.run == runs.c.id))
    forks = runs.alias()
    forked = exists().where(forks.c.forked_from == runs.c.id, forks.c.state == "running")
    chosen = connection.execute(select(runs).where(old, ~decided, ~forked)).all()
    kept = len(connection.execute(select(runs.c.id).where(old, decided)).all())
    going: set[str] = set()
    count = 0
    for row in chosen:
        for body in connection.execute(select(facts.c.body).where(facts.c.run == row.id)).scalars():
            going |= digests_in(body)
            count += 1
    names = {row.id for row in chosen}
    if going:
        going -= _still_named(connection, names, going)
    if not dry_run:
        for row in chosen:
            tombstone = insert(pruned).values(run=row.id, flow=row.flow, head=row.head, hash=row.hash, at=time.time())
            connection.execute(tombstone)
            connection.execute(delete(reviews).where(reviews.c.run == row.id))
            connection.execute(delete(facts).where(facts.c.run == row.id))
            connection.execute(delete(runs).where(runs.c.id == row.id))
        for digest in going:
            connection.execute(delete(messages).where(messages.c.digest == digest))
    return Pruned(len(chosen), count, len(going), kept)


def _still_named(connection: Connection, going_runs: set[str], digests: set[str]) -> set[str]:
    """Those of `digests` that the facts of other runs name, too."""
    named: set[str] = set()
    for run, body in connection.execute(select(facts.c.run, facts.c.body), execution_options={"yield_per": 1000}):
        if run not in going_runs:
            named |= digests_in(body) & digests
    return named
