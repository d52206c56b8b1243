"""The rows of reviews that wait: made from facts in the transaction that keeps these, and sealed with a hash.

A row says what is asked, which never changes, and what has become of it. Every change names the hash of the row that it
changes: who comes second changes nothing, and is told. Knows nothing of queues, people and terminals.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from pydantic_core import from_json, to_json

from ..agents.messages import Message
from .asking import Asking, RuleVerdict
from .errors import LogCorrupt, ReviewTaken
from .events import (
    TERMINAL,
    Event,
    ReviewAnswered,
    ReviewRequested,
    ReviewWithdrawn,
    TaskFailed,
    TaskRetried,
)
from .likeness import group_of, texts_in
from .statements import Hot

ReviewState: TypeAlias = Literal["open", "answered", "closed", "ended"]
"""open: waits · answered: waits to be taken into its run · closed: its run has gone on · ended: with its run."""

TEXT = 4_000  # characters of a proposal that can be searched and compared
PENDING: tuple[ReviewState, ...] = ("open", "answered")
WAITING: Mapping[str, Any] = {
    "state": "open",
    "decision": None,
    "by": None,
    "label": None,
    "kept": None,
    "release": None,
    "agreed": "[]",
}
"""What a row says before anybody has answered."""
UNTOLD = Asking(why=("its flow asks, and was written before reviews had reasons",))


class About(NamedTuple):
    """What a review's row says of its run."""

    flow: str
    thread: str | None
    author: str | None
    definition: str


class ReviewRow(NamedTuple):
    """A row of the table `reviews`; its columns are explained in schema.py."""

    run: str
    task: str
    flow: str
    node: str
    thread: str | None
    author: str | None
    definition: str
    role: str
    digest: str
    asked: float
    deadline: float | None
    asking: str
    proposed: str | None
    risk: float
    doubt: float | None
    agrees: int
    urgency: float
    alike: str
    text: str
    state: str = "open"
    decision: int | None = None
    by: str | None = None
    label: str | None = None
    kept: int | None = None
    release: float | None = None
    closed: float | None = None
    claimed: str | None = None
    claimed_until: float | None = None
    skipped: int = 0
    agreed: str = "[]"
    notes: str = "[]"
    hash: str = ""

    def sealed(self) -> "ReviewRow":
        """The same row with the hash that fits it."""
        return self._replace(hash=hashlib.sha256(to_json(self[:-1])).hexdigest())

    @property
    def place(self) -> tuple[str, str]:
        return self.run, self.task

    @property
    def why(self) -> tuple[str, ...]:
        return tuple(from_json(self.asking)["why"])

    @property
    def votes(self) -> list[tuple[str, Any]]:
        """Answers that others must give, too: who gave which."""
        return [(by, answer) for by, answer in from_json(self.agreed)]


def follow(hot: Hot, events: Sequence[Event], about: About, digest_of: Callable[[Message], str]) -> None:
    """Let the rows say what `events` of one run do.

    Args:
        digest_of: gives the digest under which a message is stored.
    """
    for event in events:
        match event:
            case ReviewRequested(run=run, task=task):
                forget(hot, run, task)  # a fork may ask the same with another input
                insert(hot, row_from(event, about, digest_of(event.message)))
            case (
                ReviewAnswered(run=run, task=task)
                | ReviewWithdrawn(run=run, task=task)
                | TaskFailed(run=run, task=task)
            ):
                close(hot, run, task, event.at)
            case TaskRetried(run=run, task=task):
                open_again(hot, run, task, event.at)
            case _ if isinstance(event, TERMINAL):
                for row in held_of_run(hot, event.run):
                    if row.state in PENDING:
                        put(hot, row, state="ended", closed=event.at)
            case _:
                pass


def open_again(hot: Hot, run: str, task: str, at: float) -> None:
    """A run that had ended goes on: `task`, which had ended it, is asked anew; all else stands where it stood."""
    for row in held_of_run(hot, run):
        if row.task == task:
            forget(hot, run, task)
            seconds = from_json(row.asking).get("deadline")
            deadline = None if seconds is None else at + seconds
            insert(hot, row._replace(**WAITING, closed=None, deadline=deadline))
        elif row.state == "ended":
            put(hot, row, state="open" if row.decision is None else "answered", closed=None)


def row_from(event: ReviewRequested, about: About, digest: str) -> ReviewRow:
    """The row of a question that was just asked."""
    message: Message = event.message
    asking = event.asking or UNTOLD
    text = " ".join([*texts_in(message.model_dump(mode="json")), asking.case]).casefold()[:TEXT]
    return ReviewRow(
        run=event.run,
        task=event.task,
        node=event.node,
        **about._asdict(),
        role="" if message.origin is None else message.origin.role,
        digest=digest,
        asked=event.at,
        deadline=None if asking.deadline is None else event.at + asking.deadline,
        asking=to_json(
            {
                "why": asking.why,
                "rules": [*map(RuleVerdict._asdict, asking.rules)],
                "case": asking.case,
                "deadline": asking.deadline,
            }
        ).decode(),
        proposed=asking.label,
        risk=asking.risk,
        doubt=asking.doubt,
        agrees=int(not asking.disagrees),
        urgency=asking.risk * (1.0 if asking.doubt is None else asking.doubt),
        alike=group_of(text),
        text=text,
    )


def insert(hot: Hot, row: ReviewRow) -> None:
    """A new row."""
    cursor, sql = hot
    sql.new_review.execute(cursor, **row.sealed()._asdict())


def forget(hot: Hot, run: str, task: str) -> None:
    """No row any more."""
    cursor, sql = hot
    sql.forget_review.execute(cursor, run=run, task=task)


def put(hot: Hot, row: ReviewRow, **changes: Any) -> ReviewRow:
    """The row with `changes`.

    Raises:
        ReviewTaken: somebody else has changed it meanwhile.
    """
    cursor, sql = hot
    new = row._replace(**changes).sealed()
    mutable = {f"new_{name}": getattr(new, name) for name in MUTABLE}
    sql.put_review.execute(cursor, at_run=row.run, at_task=row.task, old_hash=row.hash, **mutable)
    if cursor.rowcount != 1:
        raise ReviewTaken(row.run, row.task, "was just changed by somebody else")
    return new


def close(hot: Hot, run: str, task: str, at: float) -> None:
    """Nobody need answer any more, if there is such a review at all."""
    row = held(hot, run, task)
    if row is not None and row.state in PENDING:
        put(hot, row, state="closed", closed=at)


def one(hot: Hot, run: str, task: str) -> ReviewRow | None:
    """The row of one review, as it was written.

    Raises:
        LogCorrupt: it is not.
    """
    cursor, sql = hot
    sql.find_review.execute(cursor, run=run, task=task)
    return next(_rows(cursor.fetchall()), None)


def held(hot: Hot, run: str, task: str) -> ReviewRow | None:
    """The same, and nobody else changes it before the transaction ends; for whoever is about to change it.

    Raises:
        LogCorrupt: it is not as it was written.
    """
    cursor, sql = hot
    sql.hold_review.execute(cursor, run=run, task=task)
    return next(_rows(cursor.fetchall()), None)


def held_of_run(hot: Hot, run: str) -> list[ReviewRow]:
    """The rows of a run's reviews, for whoever is about to change them.

    Raises:
        LogCorrupt: one is not as it was written.
    """
    cursor, sql = hot
    sql.hold_reviews.execute(cursor, run=run)
    return list(_rows(cursor.fetchall()))


def checked(row: ReviewRow) -> ReviewRow:
    """`row`, which is as it was written.

    Raises:
        LogCorrupt: it is not.
    """
    if row.sealed().hash != row.hash:
        raise LogCorrupt(f"run {row.run!r}, review {row.task!r}", "its content does not fit its hash")
    return row


def _rows(found: Sequence[Any]) -> Iterator[ReviewRow]:
    for values in found:
        yield checked(ReviewRow(*values))


MUTABLE = ReviewRow._fields[ReviewRow._fields.index("state") :]
